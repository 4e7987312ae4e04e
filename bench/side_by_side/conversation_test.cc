#include "bench/side_by_side/conversation.h"

#include <gtest/gtest.h>

#include <string>

namespace side_by_side {
namespace {

// RFC 6455 §5.2: the length takes 0, 2 or 8 octets after the second one.
size_t LengthOctets(size_t payload_bytes) {
  if (payload_bytes < 126) return 0;
  return payload_bytes <= 0xffff ? 2 : 8;
}

TEST(WebSocketEcho, ExpectsTheUnmaskedPayloadOfItsRequest) {
  for (const size_t payload_bytes : {1u, 20u, 125u, 126u, 16384u, 65535u, 65536u}) {
    const Conversation echo = WebSocketEcho(payload_bytes, false);
    const size_t head_bytes = 2 + LengthOctets(payload_bytes);
    ASSERT_EQ(echo.request.size(), head_bytes + 4 + payload_bytes);
    ASSERT_EQ(echo.answer.size(), head_bytes + payload_bytes);

    std::string answer = echo.request.substr(0, head_bytes);
    EXPECT_EQ(answer[0], '\x82');
    EXPECT_EQ(answer[1] & 0x80, 0x80) << "a client masks";
    answer[1] = static_cast<char>(answer[1] & 0x7f);
    for (size_t i = 0; i < payload_bytes; ++i) {
      answer +=
          static_cast<char>(echo.request[head_bytes + 4 + i] ^ echo.request[head_bytes + i % 4]);
    }
    EXPECT_TRUE(echo.answer.Matches(0, answer)) << payload_bytes;
  }
}

TEST(WebSocketEcho, SendsTextWhenAskedTo) { EXPECT_EQ(WebSocketEcho(20, true).request[0], '\x81'); }

TEST(TcpEcho, ExpectsWhatItSends) {
  const Conversation echo = TcpEcho(64);
  EXPECT_EQ(echo.request.size(), 64u);
  EXPECT_TRUE(echo.answer.Matches(0, echo.request));
}

}  // namespace
}  // namespace side_by_side
