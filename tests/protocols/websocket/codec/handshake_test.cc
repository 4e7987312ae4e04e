#include "protocols/websocket/codec/handshake.h"

#include <gtest/gtest.h>

#include "tests/protocols/websocket/codec/head_for_test.h"

namespace ringmaster::websocket {
namespace {

using Error = HandshakeError;

// The handshake of the RFC with every field `name` replaced by `values`.
Error CheckWith(std::string_view name, const std::vector<std::string_view>& values) {
  FieldList fields = RfcHandshake();
  std::erase_if(fields, [&](const auto& field) { return field.first == name; });
  for (const std::string_view value : values) fields.emplace_back(name, value);
  return CheckHandshake(MakeHead(fields)).error;
}

TEST(Handshake, AnswersTheExampleOfTheRfc) {
  const Handshake handshake = CheckHandshake(MakeHead(RfcHandshake()));
  ASSERT_EQ(handshake.error, Error::kNone);
  EXPECT_EQ(FormatHandshakeResponse(handshake),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
}

TEST(Handshake, AsksForAGetOfHttp11) {
  http::RequestHead head = MakeHead(RfcHandshake());
  for (const char* method : {"POST", "HEAD", "get", "OPTIONS", "CONNECT"}) {
    head.method = method;
    EXPECT_EQ(CheckHandshake(head).error, Error::kMethod) << method;
  }
  head.method = "GET";
  head.version_minor = 0;
  EXPECT_EQ(CheckHandshake(head).error, Error::kHttpVersion);
}

TEST(Handshake, ReadsUpgradeAndConnectionAsLists) {
  EXPECT_EQ(CheckWith("Upgrade", {"WebSocket"}), Error::kNone);
  EXPECT_EQ(CheckWith("Upgrade", {"h2c, websocket"}), Error::kNone);
  EXPECT_EQ(CheckWith("Upgrade", {"h2c", "websocket"}), Error::kNone);
  for (const char* bad : {"", "websocket2", "web socket", "h2c", "websocket/13"}) {
    EXPECT_EQ(CheckWith("Upgrade", {bad}), Error::kUpgrade) << bad;
  }
  EXPECT_EQ(CheckWith("Upgrade", {}), Error::kUpgrade);
  EXPECT_EQ(CheckWith("Connection", {"keep-alive, Upgrade"}), Error::kNone);
  EXPECT_EQ(CheckWith("Connection", {"keep-alive", ",,UPGRADE\t,"}), Error::kNone);
  EXPECT_EQ(CheckWith("Connection", {"keep-alive"}), Error::kConnection);
  EXPECT_EQ(CheckWith("Connection", {}), Error::kConnection);
}

TEST(Handshake, AsksForVersion13Once) {
  EXPECT_EQ(CheckWith("Sec-WebSocket-Version", {}), Error::kVersionMissing);
  EXPECT_EQ(CheckWith("Sec-WebSocket-Version", {"13", "13"}), Error::kVersionRepeated);
  for (const char* other : {"8", "7", "14", "013", "13, 8", "", "thirteen"}) {
    EXPECT_EQ(CheckWith("Sec-WebSocket-Version", {other}), Error::kVersionUnsupported) << other;
  }
}

TEST(Handshake, AsksForOneKeyOf16Bytes) {
  EXPECT_EQ(CheckWith("Sec-WebSocket-Key", {}), Error::kKeyMissing);
  EXPECT_EQ(CheckWith("Sec-WebSocket-Key", {kTestHandshakeKey, kTestHandshakeKey}),
            Error::kKeyRepeated);
  for (const char* bad :
       {"", "x", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ==x",
        "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZ===", "dGhlIHNhbXBsZSBub25j!Q==",
        "dGhlIHNhbXBsZSBub25jZTE=", "dGhlIHNhbXBsZSBub25jZTEy",
        "dGhlIHNhbXBsZSBub2 jZQ==", "dGhlIHNhbXBsZSBub25-ZQ=="}) {
    EXPECT_EQ(CheckWith("Sec-WebSocket-Key", {bad}), Error::kKeyInvalid) << bad;
  }
}

TEST(Handshake, RefusesABodyAndAMissingHost) {
  http::RequestHead head = MakeHead(RfcHandshake());
  head.body_framing = http::BodyFraming::kContentLength;
  EXPECT_EQ(CheckHandshake(head).error, Error::kNone) << "an empty body is none";
  head.content_length = 1;
  EXPECT_EQ(CheckHandshake(head).error, Error::kBody);
  head.content_length = 0;
  head.body_framing = http::BodyFraming::kChunked;
  EXPECT_EQ(CheckHandshake(head).error, Error::kBody);
  EXPECT_EQ(CheckWith("Host", {}), Error::kHost);
}

TEST(Handshake, DeclinesExtensionsByNotAnsweringThem) {
  for (const char* offer :
       {"permessage-deflate", "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=15; server_no_context_takeover, x-other",
        "permessage-deflate; client_max_window_bits=\"15\"", " a ; b = c ,, d"}) {
    FieldList fields = RfcHandshake();
    fields.emplace_back("Sec-WebSocket-Extensions", offer);
    const Handshake handshake = CheckHandshake(MakeHead(fields));
    EXPECT_EQ(handshake.error, Error::kNone) << offer;
    EXPECT_EQ(FormatHandshakeResponse(handshake).find("Extensions"), std::string::npos);
  }
}

TEST(Handshake, RefusesMalformedExtensions) {
  for (const char* bad :
       {"", ",", "a;", "a; =1", "a; b=", "a b", "a; b=\"", "a; b=\"\"", "a; b=\"c d\"",
        "a; b=\"c\"d", ";a", "a; b=c=d", "a; b=\"\\", "a/b", "\"a\""}) {
    EXPECT_EQ(CheckWith("Sec-WebSocket-Extensions", {bad}), Error::kExtensions) << bad;
  }
}

TEST(Handshake, ChoosesTheFirstOfferedSubprotocolThatIsSupported) {
  const std::vector<std::string> supported = {"superchat", "chat"};
  FieldList fields = RfcHandshake();
  fields.emplace_back("Sec-WebSocket-Protocol", "mqtt, chat");
  fields.emplace_back("Sec-WebSocket-Protocol", "superchat");
  const Handshake handshake = CheckHandshake(MakeHead(fields), supported);
  EXPECT_EQ(handshake.error, Error::kNone);
  EXPECT_EQ(handshake.subprotocol, "chat");
  EXPECT_NE(FormatHandshakeResponse(handshake).find("\r\nSec-WebSocket-Protocol: chat\r\n"),
            std::string::npos);
  EXPECT_EQ(CheckHandshake(MakeHead(fields)).subprotocol, "");
}

TEST(Handshake, RefusesMalformedSubprotocols) {
  for (const char* bad : {"", ",", "a b", "a, b/c", "\"a\""}) {
    EXPECT_EQ(CheckWith("Sec-WebSocket-Protocol", {bad}), Error::kSubprotocols) << bad;
  }
}

TEST(Handshake, EveryErrorHasItsStatusReasonAndName) {
  std::vector<std::string_view> names;
  for (int i = 1; i < kHandshakeErrorCount; ++i) {
    const auto error = static_cast<Error>(i);
    EXPECT_GE(HandshakeErrorStatus(error), 400);
    EXPECT_FALSE(HandshakeErrorReason(error).empty());
    EXPECT_EQ(std::count(names.begin(), names.end(), HandshakeErrorName(error)), 0);
    names.push_back(HandshakeErrorName(error));
  }
  EXPECT_EQ(HandshakeErrorStatus(Error::kMethod), 405);
  EXPECT_EQ(HandshakeErrorStatus(Error::kUpgrade), 426);
  EXPECT_EQ(HandshakeErrorStatus(Error::kVersionUnsupported), 426);
  EXPECT_EQ(HandshakeErrorFields(Error::kVersionUnsupported),
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
}

}  // namespace
}  // namespace ringmaster::websocket
