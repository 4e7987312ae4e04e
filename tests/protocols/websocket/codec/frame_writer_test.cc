#include "protocols/websocket/codec/frame_writer.h"

#include <gtest/gtest.h>

#include "tests/protocols/websocket/codec/frames_for_test.h"

namespace ringmaster::websocket {
namespace {

TEST(FrameWriter, UsesTheShortestLengthForm) {
  char header[kFrameHeaderBytesMax];
  for (const auto& [payload_bytes, header_bytes] :
       std::vector<std::pair<uint64_t, size_t>>{{0, 2},
                                                {1, 2},
                                                {125, 2},
                                                {126, 4},
                                                {127, 4},
                                                {65535, 4},
                                                {65536, 10},
                                                {1ull << 40, 10}}) {
    EXPECT_EQ(FrameHeaderBytes(payload_bytes), header_bytes);
    EXPECT_EQ(WriteFrameHeader(header, Opcode::kText, payload_bytes), header_bytes);
    EXPECT_EQ(FrameHeaderBytes(payload_bytes, Role::kClient), header_bytes + 4);
  }
}

TEST(FrameWriter, WritesWhatTheParserReads) {
  for (const Role writer : {Role::kServer, Role::kClient}) {
    const Role reader = writer == Role::kServer ? Role::kClient : Role::kServer;
    for (const size_t bytes : {0, 1, 125, 126, 127, 65535, 65536}) {
      std::string payload(bytes, 'm');
      std::string frame(FrameHeaderBytes(bytes, writer), '\0');
      WriteFrameHeader(frame.data(), Opcode::kBinary, bytes, true, writer, kTestKey);
      if (writer == Role::kClient) Mask(payload.data(), bytes, kTestKey);
      EXPECT_EQ(ParseWhole(frame + payload, {}, reader), "binary:" + std::string(bytes, 'm') + ";");
    }
  }
}

TEST(Mask, IsItsOwnInverseAndSeesHighOctetsAtEveryPlace) {
  for (size_t bytes = 0; bytes < 300; ++bytes) {
    std::string data(bytes, 'a');
    for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<char>(i % 128);
    std::string masked = data;
    Mask(masked.data(), bytes, kTestKey);
    for (size_t i = 0; i < bytes; ++i) {
      ASSERT_EQ(static_cast<uint8_t>(masked[i]),
                static_cast<uint8_t>(data[i]) ^ (kTestKey >> (i % 4 * 8) & 0xFF));
    }
    ASSERT_FALSE(Mask(masked.data(), bytes, kTestKey));
    ASSERT_EQ(masked, data);
    for (size_t i = 0; i < bytes; ++i) {
      std::string high = data;
      high[i] = static_cast<char>(high[i] | 0x80);
      Mask(high.data(), bytes, kTestKey);
      ASSERT_TRUE(Mask(high.data(), bytes, kTestKey)) << bytes << " " << i;
    }
  }
}

}  // namespace
}  // namespace ringmaster::websocket
