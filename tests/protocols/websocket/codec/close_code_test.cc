#include "protocols/websocket/codec/close_code.h"

#include <gtest/gtest.h>

#include "tests/protocols/websocket/codec/frames_for_test.h"

namespace ringmaster::websocket {
namespace {

TEST(CloseCode, OnlyRegisteredAndApplicationCodesAreOnTheWire) {
  for (uint32_t code = 0; code <= 65535; ++code) {
    const bool registered = (code >= 1000 && code <= 1014) && (code < 1004 || code > 1006);
    const bool application = code >= 3000 && code <= 4999;
    ASSERT_EQ(IsCloseCodeOnWire(static_cast<uint16_t>(code)), registered || application) << code;
  }
}

TEST(CloseCode, ReadsCodeAndReason) {
  const std::string payload = ClosePayloadBytes(3000, "gr\xC3\xBC\xC3\x9F");
  const ClosePayload close = ParseClosePayload(payload);
  EXPECT_EQ(close.error, CloseCode::kNone);
  EXPECT_EQ(close.code, 3000);
  EXPECT_EQ(close.reason, "gr\xC3\xBC\xC3\x9F");
}

TEST(CloseCode, AnEmptyPayloadHasNoStatus) {
  EXPECT_EQ(ParseClosePayload("").code, 1005);
  EXPECT_EQ(ParseClosePayload("").error, CloseCode::kNone);
}

TEST(CloseCode, RefusesOneByteBadCodesAndBadText) {
  EXPECT_EQ(ParseClosePayload("\x03").error, CloseCode::kProtocolError);
  EXPECT_EQ(ParseClosePayload(ClosePayloadBytes(1006)).error, CloseCode::kProtocolError);
  EXPECT_EQ(ParseClosePayload(ClosePayloadBytes(1000, "\xFF")).error, CloseCode::kInvalidPayload);
}

}  // namespace
}  // namespace ringmaster::websocket
