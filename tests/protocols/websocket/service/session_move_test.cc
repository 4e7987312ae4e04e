// WebSockets that move to another process in the middle of what they do (session_move.cc): behind
// the HTTP service that upgraded them, which finds their route again.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocols/http/service/service.h"
#include "protocols/websocket/service/websocket.h"
#include "protocols/websocket/service/websocket_counters.h"
#include "tests/engine/handoff/moving_connection.h"
#include "tests/protocols/websocket/codec/frames_for_test.h"

namespace ringmaster::websocket {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kHandshakeOf =
    " HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

struct Player {
  std::string name;
  int64_t score = 0;
  std::string note;  // not saved

  static constexpr uint32_t kStateVersion = 1;
  void Save(StateWriter& out) const {
    out.Bytes(name);
    out.Signed(score);
  }
  bool Load(StateReader& in, uint32_t) {
    name = in.Bytes();
    score = in.Signed();
    if (name == "poison") throw std::runtime_error("on purpose");
    return name.size() <= 16;
  }
};

// The routes of one process. Echoes; "=x" sets the name of the player instead.
template <typename Context>
struct Process {
  explicit Process(std::string_view pattern = "/ws") {
    EXPECT_TRUE(service.Upgrade(pattern, &route).ok());
    route.on_open = [this](auto&) { told.emplace_back("open"); };
    route.on_message = [](auto& peer, const Message& message) {
      if constexpr (std::is_same_v<Context, Player>) {
        ++peer.context().score;
        if (message.bytes.starts_with('=')) peer.context().name = message.bytes.substr(1);
      }
      peer.Send(message);
    };
    route.on_handoff = [this](auto&) { told.emplace_back("handoff"); };
    route.on_adopted = [this](auto&) { told.emplace_back("adopted"); };
    route.on_close = [this](auto&, const CloseInfo& info) {
      told.push_back("close " + std::to_string(info.code) + " " + std::string(info.reason) + " " +
                     std::string(CloseReasonName(info.cause)));
    };
  }

  Route<Context> route;
  http::Service service;
  std::vector<std::string> told;
};

MovingWorker::Peer Open(MovingWorker& worker, std::string_view path = "/ws") {
  MovingWorker::Peer peer = worker.Connect();
  peer.Feed("GET " + std::string(path) + std::string(kHandshakeOf));
  EXPECT_THAT(peer.Read(), testing::StartsWith("HTTP/1.1 101"));
  return peer;
}

template <typename Context>
Peer<Context>& SocketOf(const MovingWorker::Peer& peer) {
  return *static_cast<Peer<Context>*>(peer.connection()->session());
}

std::string Events(std::string_view frames) {
  FrameParser parser(Role::kClient);
  return FeedPiece(parser, frames, {});
}

// Two, three and four octets a character.
const char kText[] = "a\u00e4\u20ac\U0001F600z";

std::string EveryKind() {
  const std::string text = kText;
  std::string input;
  for (size_t i = 0; i < text.size(); ++i) {
    input += RawFrame(i == 0 ? 0x01 : 0x00, text.substr(i, 1));
    if (i % 3 == 0) input += Frame(Opcode::kPing, "ping " + std::to_string(i));
  }
  input += RawFrame(0x80, "");
  input += Frame(Opcode::kText, text) + Frame(Opcode::kBinary, std::string(130, 'b'));
  input += Frame(Opcode::kPong, "unasked") + Frame(Opcode::kText, "");
  return input + Frame(Opcode::kClose, ClosePayloadBytes(3001, "done \u20ac"));
}

TEST(WebSocketMove, GoesOnAtEveryCut) {
  const std::string input = EveryKind();
  Process<void> old_process;
  Process<void> new_process;
  MovingWorker worker(old_process.service);
  MovingWorker::Peer unmoved = Open(worker);
  unmoved.Feed(input);
  const std::string expected = unmoved.Read();
  ASSERT_THAT(Events(expected), testing::HasSubstr(std::string(kText) + ";text:" + kText));
  unmoved.Finish();
  ASSERT_EQ(old_process.told.back(), "close 3001 done \u20ac peer_closed");
  for (size_t cut = 0; cut < input.size(); ++cut) {
    new_process.told.clear();
    MovingWorker::Peer peer = Open(worker);
    peer.Feed(input.substr(0, cut));
    ASSERT_TRUE(peer.MoveTo(new_process.service)) << "cut at " << cut;
    peer.Feed(input.substr(cut));
    ASSERT_EQ(peer.Read(), expected) << "cut at " << cut;
    peer.Finish();
    EXPECT_EQ(new_process.told,
              (std::vector<std::string>{"adopted", "close 3001 done \u20ac peer_closed"}));
  }
}

TEST(WebSocketMove, GoesOnWhenItMovesBehindEveryByte) {
  const std::string input = EveryKind();
  Process<Player> processes[2];
  MovingWorker worker(processes[0].service);
  MovingWorker::Peer peer = Open(worker);
  peer.Feed(Frame(Opcode::kText, "=ann"));
  for (size_t i = 0; i + 1 < input.size(); ++i) {
    peer.Feed(input.substr(i, 1));
    ASSERT_TRUE(peer.MoveTo(processes[(i + 1) % 2].service)) << i;
  }
  EXPECT_EQ(SocketOf<Player>(peer).context().name, "ann");
  EXPECT_EQ(SocketOf<Player>(peer).context().score, 5);
  MovingWorker::Peer unmoved = Open(worker);
  unmoved.Feed(Frame(Opcode::kText, "=ann") + input.substr(0, input.size() - 1));
  EXPECT_EQ(peer.Read(), unmoved.Read());
}

TEST(WebSocketMove, TellsTheOldSideBeforeAndTheNewSideBehind) {
  Process<Player> old_process;
  Process<Player> new_process;
  old_process.route.on_handoff = [&](auto& peer) {
    peer.context().score = -42;
    peer.context().note = "gone";
    peer.SendText("see you");
    old_process.told.emplace_back("handoff");
  };
  new_process.route.on_adopted = [&](auto& peer) {
    new_process.told.push_back("adopted " + peer.context().name +
                               std::to_string(peer.context().score) + peer.context().note);
    peer.SendText("welcome");
  };
  {
    MovingWorker worker(old_process.service);
    MovingWorker::Peer peer = Open(worker);
    peer.Feed(Frame(Opcode::kText, "=ann"));
    ASSERT_TRUE(peer.MoveTo(new_process.service));
    EXPECT_EQ(Events(peer.Read()), "text:=ann;text:see you;text:welcome;");
    EXPECT_EQ(new_process.told, (std::vector<std::string>{"adopted ann-42"}));
  }
  EXPECT_EQ(old_process.told, (std::vector<std::string>{"open", "handoff"}));
  EXPECT_EQ(new_process.told.size(), 2u) << "and its end";
}

TEST(WebSocketMove, TakesAClosingHandshakeAlong) {
  Process<void> old_process;
  Process<void> new_process;
  MovingWorker worker(old_process.service);
  MovingWorker::Peer peer = Open(worker);
  SocketOf<void>(peer).Close(4000, "enough");
  ASSERT_TRUE(peer.MoveTo(new_process.service));
  EXPECT_FALSE(SocketOf<void>(peer).open());
  EXPECT_EQ(SocketOf<void>(peer).SendText("too late"), SendResult::kClosed);
  peer.Feed(Frame(Opcode::kText, "on the way") +
            Frame(Opcode::kClose, ClosePayloadBytes(4000, "agreed")));
  EXPECT_EQ(Events(peer.Read()), "close:" + ClosePayloadBytes(4000, "enough") + ";");
  peer.Finish();
  EXPECT_EQ(new_process.told, (std::vector<std::string>{"adopted", "close 4000 agreed local"}));
  EXPECT_EQ(old_process.told, (std::vector<std::string>{"open", "handoff"}));
}

TEST(WebSocketMove, RemembersWhatItsOwnCloseFrameSaid) {
  Process<void> old_process;
  Process<void> new_process;
  MovingWorker worker(old_process.service);
  MovingWorker::Peer peer = Open(worker);
  peer.connection()->session()->OnStop(*peer.connection());
  ASSERT_TRUE(peer.MoveTo(new_process.service));
  peer.Finish();
  EXPECT_EQ(new_process.told.back(), "close 1001  server_stopping");
}

TEST(WebSocketMove, DoesNotMoveOnItsWayOut) {
  Process<void> process;
  MovingWorker worker(process.service);
  MovingWorker::Peer failed = Open(worker);
  failed.Feed(Frame(Opcode::kContinuation, "of nothing"));
  ASSERT_NE(failed.connection(), nullptr) << "it lingers";
  EXPECT_FALSE(failed.MoveTo(process.service));
}

TEST(WebSocketMove, FindsItsRouteByThePattern) {
  Process<Player> old_process("/rooms/:room");
  Process<Player> same("/rooms/:room");
  Process<Player> others("/rooms/*all");
  http::Service plain;
  ASSERT_TRUE(plain.Get("/rooms/:room", [](auto&, auto& response) { response.End(); }).ok());
  MovingWorker worker(old_process.service);
  MovingWorker::Peer peer = Open(worker, "/rooms/7");
  EXPECT_FALSE(peer.MoveTo(others.service));
  EXPECT_FALSE(peer.MoveTo(plain));
  EXPECT_TRUE(peer.MoveTo(same.service));
}

// Several services may have it at that path: as many listeners do.
TEST(WebSocketMove, StaysWhenItsRouteStandsAtSeveralPaths) {
  Process<void> process;
  http::Service other_service;
  ASSERT_TRUE(other_service.Upgrade("/ws", &process.route).ok());
  MovingWorker worker(process.service);
  MovingWorker::Peer peer = Open(worker);
  EXPECT_TRUE(peer.connection()->session()->CanMove(*peer.connection()));
  ASSERT_TRUE(other_service.Upgrade("/other", &process.route).ok());
  EXPECT_FALSE(peer.connection()->session()->CanMove(*peer.connection()));
}

struct Unsaveable {
  int messages = 0;
};
struct Nothing {};

TEST(WebSocketMove, MovesWithAContextThatCanBeSavedOnly) {
  Process<Unsaveable> unsaveable;
  Process<Unsaveable> new_process;
  Process<Nothing> nothing;
  Process<Player> player;
  MovingWorker unsaveable_worker(unsaveable.service);
  EXPECT_FALSE(Open(unsaveable_worker).MoveTo(unsaveable.service));
  MovingWorker nothing_worker(nothing.service);
  EXPECT_TRUE(Open(nothing_worker).MoveTo(nothing.service));
  // What the old side has saved would be lost.
  MovingWorker player_worker(player.service);
  EXPECT_FALSE(Open(player_worker).MoveTo(new_process.service));
}

TEST(WebSocketMove, GoesOnWhereItIsWhenTheContextCannotBeLoaded) {
  Process<Player> old_process;
  Process<Player> new_process;
  MovingWorker worker(old_process.service);
  for (const std::string name : {"a name too long by far", "poison"}) {
    MovingWorker::Peer peer = Open(worker);
    peer.Feed(Frame(Opcode::kText, "=" + name) + RawFrame(0x01, "beg"));
    EXPECT_FALSE(peer.MoveTo(new_process.service));
    peer.Feed(RawFrame(0x80, "in"));
    EXPECT_EQ(Events(peer.Read()), "text:=" + name + ";text:begin;");
  }
  EXPECT_TRUE(new_process.told.empty());
}

TEST(WebSocketMove, KeepsTheLimitsOfTheNewProcess) {
  Process<void> old_process;
  Process<void> narrow;
  narrow.route.limits.message_bytes_max = 4;
  Process<void> few_fragments;
  few_fragments.route.limits.fragments_max = 1;
  Process<void> same;
  MovingWorker worker(old_process.service);
  MovingWorker::Peer peer = Open(worker);
  peer.Feed(RawFrame(0x01, "abc") + RawFrame(0x00, "de"));
  EXPECT_FALSE(peer.MoveTo(narrow.service));
  EXPECT_FALSE(peer.MoveTo(few_fragments.service));
  EXPECT_TRUE(peer.MoveTo(same.service));
  peer.Feed(RawFrame(0x80, ""));
  EXPECT_EQ(Events(peer.Read()), "text:abcde;");
}

TEST(WebSocketMove, CountsWhoIsOpenWhereItIs) {
  Process<Player> old_process;
  Process<Player> new_process;
  MovingWorker worker(old_process.service);
  const auto open = [&] { return worker.counters().protocol[WebSocketCounters::Get().open].Get(); };
  MovingWorker::Peer peer = Open(worker);
  EXPECT_EQ(open(), 1u);
  ASSERT_TRUE(peer.MoveTo(new_process.service));
  EXPECT_EQ(open(), 1u) << "one more there, one less here";
  EXPECT_FALSE(peer.Restore(new_process.service, "\x04http\x02\x03/ws\x01\x00"));
  EXPECT_EQ(open(), 1u);
  peer.Feed(Frame(Opcode::kClose, ""));
  peer.Finish();
  EXPECT_EQ(open(), 0u);
}

// What the engine cannot bring along, because it is the route's: on a connection that has had none
// of it.
TEST(WebSocketMove, HasTheOptionsOfItsRouteAndIsProbedWhenIdle) {
  Process<void> old_process;
  Process<void> new_process;
  new_process.route.stream.emplace();
  new_process.route.stream->timeouts.read = seconds(20);
  new_process.route.stream->timeouts.handshake = seconds(0);
  MovingWorker worker(old_process.service);
  const std::string message(100, 'm');
  MovingWorker::Peer old_peer = Open(worker);
  old_peer.Feed(RawFrame(0x02, message));
  const std::string state = *SaveSession(*old_peer.connection());
  MovingWorker::Peer new_peer = worker.Connect();
  const size_t held = worker.worker().buffered_bytes();
  ASSERT_TRUE(new_peer.Restore(new_process.service, state));
  EXPECT_GE(worker.worker().buffered_bytes(), held + message.size());
  EXPECT_EQ(new_peer.connection()->options().timeouts.read, Duration(seconds(20)));
  new_peer.connection()->ClearWait();  // the new connection's wait for its first byte
  worker.AdvanceTime(seconds(11));
  EXPECT_EQ(Events(new_peer.Read()), "ping:;");
  new_peer.Feed(RawFrame(0x80, ""));
  EXPECT_EQ(Events(new_peer.Read()), "binary:" + message + ";");
}

TEST(WebSocketMove, DamagedStateIsRefusedOrWorks) {
  Process<Player> process;
  process.route.limits.message_bytes_max = 200;
  MovingWorker worker(process.service);
  MovingWorker::Peer sample = Open(worker);
  sample.Feed(Frame(Opcode::kText, "=ann") + RawFrame(0x01, "\xe2\x82") +
              Frame(Opcode::kPing, "ping").substr(0, 8));
  const std::string state = *SaveSession(*sample.connection());
  size_t refused = 0;
  for (const std::string& damaged : Damaged(state)) {
    MovingWorker::Peer peer = worker.Connect();
    if (!peer.Restore(process.service, damaged)) {
      ++refused;
      continue;
    }
    peer.Feed("ng" + RawFrame(0x80, "\xac") + Frame(Opcode::kText, "more") +
              Frame(Opcode::kClose, ClosePayloadBytes(1000)));
    ASSERT_LE(SocketOf<Player>(peer).connection().worker().buffered_bytes(), 10'000u);
    // It may wait for more of a frame that is longer now. The end is the end.
    peer.Finish();
    EXPECT_EQ(peer.connection(), nullptr);
  }
  EXPECT_GT(refused, state.size() * 4);
}

}  // namespace
}  // namespace ringmaster::websocket
