#include "protocols/websocket/service/route.h"

#include <algorithm>

#include "tests/protocols/websocket/service/socket_fixture.h"

namespace ringmaster::websocket {
namespace {

using std::chrono::milliseconds;

class RouteTest : public SocketFixture {
 protected:
  // The answer to a handshake with the field `name` set to `value` ("" = left out).
  std::optional<http::UpgradeRefusal> Try(std::string_view name, std::string_view value) {
    if (worker_ == nullptr) Start();
    const FieldList kept = protocol_.fields;
    std::erase_if(protocol_.fields, [&](const auto& field) { return field.first == name; });
    if (!value.empty()) protocol_.fields.emplace_back(name, value);
    peer_ = ring_->ConnectPeer(listening_fd_, {});
    peer_->PeerSend("U");
    AdvanceTime(milliseconds(1));
    protocol_.fields = kept;
    return std::exchange(protocol_.last_refusal, std::nullopt);
  }
};

TEST_F(RouteTest, RefusesABadHandshakeWithItsStatusAndCounter) {
  const WebSocketCounters& slots = WebSocketCounters::Get();
  const auto old = Try("Sec-WebSocket-Version", "8");
  ASSERT_TRUE(old);
  EXPECT_EQ(old->status, 426);
  EXPECT_NE(old->extra_fields.find("Sec-WebSocket-Version: 13\r\n"), std::string::npos);
  EXPECT_EQ(Count(slots.refused_handshake[static_cast<int>(HandshakeError::kVersionUnsupported)]),
            1u);
  const auto no_key = Try("Sec-WebSocket-Key", "");
  ASSERT_TRUE(no_key);
  EXPECT_EQ(no_key->status, 400);
  EXPECT_EQ(Count(slots.refused_handshake[static_cast<int>(HandshakeError::kKeyMissing)]), 1u);
  EXPECT_EQ(CountedContext::constructed, 0);
}

TEST_F(RouteTest, RefusesAForeignOriginBeforeAnyApplicationCodeRuns) {
  route_.allowed_origins = {"https://game.example"};
  int asked = 0;
  route_.on_upgrade = [&](const http::RequestHead&) -> std::optional<http::UpgradeRefusal> {
    ++asked;
    return std::nullopt;
  };
  ASSERT_TRUE(route_.Prepare().ok());
  const auto foreign = Try("Origin", "https://game.example.evil.com");
  ASSERT_TRUE(foreign);
  EXPECT_EQ(foreign->status, 403);
  EXPECT_FALSE(foreign->reason.empty());
  const auto missing = Try("Origin", "");
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->status, 403);
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(CountedContext::constructed, 0);
  const WebSocketCounters& slots = WebSocketCounters::Get();
  EXPECT_EQ(Count(slots.refused_origin[static_cast<int>(OriginVerdict::kNotListed)]), 1u);
  EXPECT_EQ(Count(slots.refused_origin[static_cast<int>(OriginVerdict::kMissing)]), 1u);
  EXPECT_FALSE(Try("Origin", "https://game.example"));
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(CountedContext::constructed, 1);
}

TEST_F(RouteTest, TheApplicationMayRefuse) {
  route_.on_upgrade = [](const http::RequestHead& head) -> std::optional<http::UpgradeRefusal> {
    return http::UpgradeRefusal{401, "who are you, " + std::string(head.host) + "?", ""};
  };
  const auto refusal = Try("Origin", "");
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->status, 401);
  EXPECT_EQ(refusal->reason, "who are you, server.example.com?");
  EXPECT_EQ(Count(WebSocketCounters::Get().refused_by_application), 1u);
  EXPECT_EQ(CountedContext::constructed, 0);
}

TEST_F(RouteTest, ABadOriginListIsFoundBeforeTheStart) {
  route_.allowed_origins = {"https://game.example/"};
  const absl::Status status = route_.Prepare();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find("\"https://game.example/\""), std::string::npos);
  // A server that starts all the same lets nobody in.
  const auto refusal = Try("Origin", "https://game.example");
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->status, 500);
}

TEST_F(RouteTest, TheEnvironmentWinsOverTheList) {
  route_.allowed_origins = {"https://config.example"};
  setenv(kAllowedOriginsVariable, "https://environment.example", 1);
  const absl::Status status = route_.Prepare();
  unsetenv(kAllowedOriginsVariable);
  ASSERT_TRUE(status.ok());
  EXPECT_TRUE(Try("Origin", "https://config.example"));
  EXPECT_FALSE(Try("Origin", "https://environment.example"));
}

TEST_F(RouteTest, AnswersTheChosenSubprotocol) {
  route_.subprotocols = {"chat"};
  EXPECT_FALSE(Try("Sec-WebSocket-Protocol", "mqtt, chat"));
  EXPECT_NE(peer_->PeerRead(SIZE_MAX).find("\r\nSec-WebSocket-Protocol: chat\r\n"),
            std::string::npos);
}

TEST_F(RouteTest, AStoppingServerTakesNobodyIn) {
  Start();
  peer_ = ring_->ConnectPeer(listening_fd_, {});
  AdvanceTime(milliseconds(1));
  worker_->Stop();
  peer_->PeerSend("U");
  AdvanceTime(milliseconds(1));
  ASSERT_TRUE(protocol_.last_refusal);
  EXPECT_EQ(protocol_.last_refusal->status, 503);
}

TEST(Route, WithoutAContextTakesGenericHandlers) {
  Route<> route;
  route.on_open = [](auto& peer) { peer.SendText("hello"); };
  route.on_message = [](auto& peer, Message message) { peer.Send(message); };
  route.on_close = [](auto& peer, CloseInfo) { peer.id(); };
  EXPECT_TRUE(route.Prepare().ok());
}

}  // namespace
}  // namespace ringmaster::websocket
