// What an application needs so that its connections move is reached by the public header alone.

#include "protocols/web/service/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <ringmaster/websocket.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/engine/handoff/moving_connection.h"
#include "tests/fuzz/session_state/session_state_server.h"
#include "tests/protocols/websocket/codec/frames_for_test.h"

namespace {

struct Player {
  std::string name;

  static constexpr uint32_t kStateVersion = 1;
  void Save(ringmaster::StateWriter& out) const { out.Bytes(name); }
  bool Load(ringmaster::StateReader& in, uint32_t) {
    name = in.Bytes();
    return name.size() <= 16;
  }
};

struct Game : ringmaster::Server {
  explicit Game(ringmaster::http::ServiceOptions http_options = {})
      : ringmaster::Server(std::move(http_options)) {
    auto& route = WebSocket<Player>("/play");
    route.on_message = [](auto& peer, ringmaster::Message message) {
      peer.context().name += message.bytes;
      peer.SendText(peer.context().name);
    };
    route.on_adopted = [](auto& peer) { peer.context().name += "+"; };
  }
};

constexpr std::string_view kHandshake =
    "GET /play HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

TEST(Server, MovesConnectionsWhoseContextSaysHow) {
  Game old_game;
  Game new_game;
  ringmaster::MovingWorker worker(old_game.http());
  ringmaster::MovingWorker::Peer peer = worker.Connect();
  peer.Feed(kHandshake);
  EXPECT_THAT(peer.Read(), testing::StartsWith("HTTP/1.1 101"));
  using ringmaster::websocket::Frame;
  using ringmaster::websocket::Opcode;
  peer.Feed(Frame(Opcode::kText, "an") + Frame(Opcode::kText, "n").substr(0, 3));
  ASSERT_TRUE(peer.MoveTo(new_game.http()));
  peer.Feed(Frame(Opcode::kText, "n").substr(3));
  EXPECT_EQ(peer.Read(),
            "\x81\x02"
            "an\x81\x04"
            "an+n");
}

TEST(Server, SaysItsGenerationInAHandshakesAnswerToo) {
  Game game({.generation_header = "X-Generation"});
  ringmaster::MovingWorker worker(game.http());
  ringmaster::MovingWorker::Peer peer = worker.Connect();
  peer.Feed(kHandshake);
  EXPECT_THAT(peer.Read(), testing::AllOf(testing::StartsWith("HTTP/1.1 101"),
                                          testing::HasSubstr("\r\nX-Generation: 1\r\n"),
                                          testing::EndsWith("\r\n\r\n")));
}

TEST(Server, RefusesAGenerationHeaderThatItSendsItself) {
  const Game game({.generation_header = "Date"});
  EXPECT_THAT(
      std::string(game.error().message()),
      testing::AllOf(testing::StartsWith("generation_header: "), testing::HasSubstr("Date")));
}

// The seeds of the fuzz target are what sessions of this release and of earlier ones have saved:
// every one must find a session.
TEST(SavedSessions, AreTakenFromEveryReleaseSoFar) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(RINGMASTER_SESSION_STATE_SEEDS)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    ASSERT_GE(bytes.size(), 3u) << entry.path();
    const size_t state_bytes = static_cast<uint8_t>(bytes[1]) | static_cast<uint8_t>(bytes[2]) << 8;
    ringmaster::SessionStateServer server;
    ringmaster::MovingWorker worker(server.service);
    ringmaster::MovingWorker::Peer peer = worker.Connect();
    EXPECT_TRUE(peer.Restore(server.ProtocolOf(static_cast<uint8_t>(bytes[0])),
                             bytes.substr(3, state_bytes)))
        << entry.path();
    ++count;
  }
  EXPECT_GE(count, 14);
}

}  // namespace
