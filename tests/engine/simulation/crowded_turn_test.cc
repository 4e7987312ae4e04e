#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/log.h"
#include "gtest/gtest.h"
#include "tests/engine/simulation/echo_protocol.h"
#include "tests/engine/simulation/simulated_engine.h"

// More to do than fits into a turn: who has to wait, and for how long.

namespace ringmaster::simulation {
namespace {

using std::chrono::milliseconds;

class CrowdedTurnTest : public testing::Test {
 protected:
  void SetUp() override { static_cast<void>(log::Setup("off", "text", "", "test")); }

  void Start(uint32_t buffer_count) {
    SimulatedEngine::Options options;
    options.ring.buffer_count = buffer_count;
    options.stream.send_queue_bytes_max = 1 << 20;
    options.stream.send_queue_bytes_high = 1 << 20;
    options.stream.timeouts.handshake = std::chrono::seconds(60);
    engine_ = std::make_unique<SimulatedEngine>(world_, protocol_, options);
  }

  size_t Connect() {
    protocol_.records().push_back(std::make_unique<ConnectionRecord>());
    peers_.push_back(engine_->ConnectPeer({.to_engine_bytes = 1 << 20, .to_peer_bytes = 1 << 20}));
    return peers_.size() - 1;
  }
  // Connections that have spoken: nobody's first bytes.
  void ConnectKnown(int count) {
    for (int i = 0; i < count; ++i) Ask(Connect(), "I am here");
    engine_->RunFor(milliseconds(500));
    for (const auto& peer : peers_) {
      ASSERT_EQ(peer->PeerRead(SIZE_MAX), ExpectedAnswer(Command::kEcho, "I am here"));
    }
  }
  void Ask(size_t peer, const std::string& body) {
    peers_[peer]->PeerSend(EncodeRequest(Command::kEcho, body));
  }
  // Each sends `count` requests, numbered.
  void Flood(int count) {
    for (size_t peer = 0; peer < peers_.size(); ++peer) {
      for (int i = 0; i < count; ++i) Ask(peer, "number " + std::to_string(i));
    }
  }
  void ExpectFloodAnswered(int count) {
    std::string all;
    for (int i = 0; i < count; ++i) {
      all += ExpectedAnswer(Command::kEcho, "number " + std::to_string(i));
    }
    for (const auto& peer : peers_) EXPECT_EQ(peer->PeerRead(SIZE_MAX), all);
  }
  // How long until that peer can read something.
  Duration AnswerTime(size_t peer) {
    const TimePoint begin = world_.now();
    while (peers_[peer]->peer_readable() == 0) {
      if (world_.now() - begin > Duration(std::chrono::seconds(60)).count()) return Duration::max();
      engine_->RunFor(milliseconds(1));
    }
    return Duration(world_.now() - begin);
  }

  World world_{1};
  EchoProtocol protocol_{world_};
  std::unique_ptr<SimulatedEngine> engine_;
  std::vector<std::shared_ptr<SimulatedStream>> peers_;
};

TEST_F(CrowdedTurnTest, EndsInTimeAndLosesNothing) {
  Start(4000);
  protocol_.set_handler_time(std::chrono::microseconds(200));
  ConnectKnown(50);
  // 2 s of work, of which a turn does 5 ms, and 4 ms for what it has begun.
  TimePoint longest = 0;
  for (int round = 0; round < 10; ++round) {
    Flood(20);
    const uint64_t answered = engine_->counters().bytes_sent.Get();
    while (engine_->counters().bytes_sent.Get() <
           answered + 50 * 20 * ExpectedAnswer(Command::kEcho, "number 0").size()) {
      const TimePoint begin = world_.now();
      ASSERT_TRUE(engine_->worker().Turn());
      longest = std::max(longest, world_.now() - begin);
    }
    engine_->RunFor(milliseconds(300));
    ExpectFloodAnswered(20);
  }
  EXPECT_LE(Duration(longest), milliseconds(5 + 4 + 3));
  EXPECT_GT(engine_->counters().turns_crowded.Get(), 10u);
  engine_->ExpectNothingLeft();
}

TEST_F(CrowdedTurnTest, WhoHasJustArrivedIsServedBeforeThoseWhoFlood) {
  Start(4000);
  protocol_.set_handler_time(milliseconds(1));
  ConnectKnown(100);
  Flood(20);
  engine_->RunFor(milliseconds(20));
  EXPECT_GE(engine_->counters().turns_crowded.Get(), 1u);
  for (int i = 0; i < 3; ++i) {
    const size_t newcomer = Connect();
    Ask(newcomer, "is anybody there?");
    // Two seconds of work are in front of it.
    EXPECT_LE(AnswerTime(newcomer), milliseconds(40));
    EXPECT_EQ(peers_[newcomer]->PeerRead(SIZE_MAX),
              ExpectedAnswer(Command::kEcho, "is anybody there?"));
    peers_.pop_back();
  }
  engine_->RunFor(std::chrono::seconds(3));
  ExpectFloodAnswered(20);
  engine_->ExpectNothingLeft();
}

TEST_F(CrowdedTurnTest, ThoseWhoWaitGoOnWhileOthersKeepArriving) {
  Start(4000);
  protocol_.set_handler_time(milliseconds(4));
  ConnectKnown(40);
  Flood(5);
  const auto flooders = peers_;
  // As much work arrives as can be done, each at once in front of the others.
  for (int i = 0; i < 200; ++i) {
    Ask(Connect(), "me too");
    engine_->RunFor(milliseconds(4));
  }
  size_t answered = 0;
  const size_t answer_bytes = ExpectedAnswer(Command::kEcho, "number 0").size();
  for (const auto& peer : flooders) answered += peer->peer_readable() / answer_bytes;
  // 800 ms have passed: a third of them, at least, was theirs.
  EXPECT_GE(answered, 60u);
  engine_->ExpectNothingLeft();
}

TEST_F(CrowdedTurnTest, WithoutABufferWhoHasJustArrivedIsFirst) {
  Start(2);
  protocol_.set_handler_time(std::chrono::microseconds(200));
  ConnectKnown(60);
  Flood(20);
  engine_->RunFor(milliseconds(10));
  EXPECT_GT(engine_->counters().receive_starved.Get(), 0u);
  const size_t newcomer = Connect();
  Ask(newcomer, "is anybody there?");
  EXPECT_LE(AnswerTime(newcomer), milliseconds(30));
  peers_.pop_back();
  engine_->RunFor(std::chrono::seconds(3));
  ExpectFloodAnswered(20);
  engine_->ExpectNothingLeft();
}

TEST_F(CrowdedTurnTest, LargeOutputIsSpreadOverTurnsAndSmallIsNot) {
  Start(64);
  constexpr uint32_t kAnswerBytes = 512 * 1024;
  ConnectKnown(40);
  const size_t small = 0;
  for (size_t peer = 1; peer < peers_.size(); ++peer) {
    peers_[peer]->PeerSend(EncodeLargeRequest(Command::kLarge, kAnswerBytes));
  }
  Ask(small, "a little");
  // 20 MB, of which 4 leave in one turn.
  uint64_t before = 0;
  uint64_t most = 0;
  while (engine_->counters().bytes_sent.Get() < 39 * kAnswerBytes) {
    ASSERT_TRUE(engine_->worker().Turn());
    const uint64_t sent = engine_->counters().bytes_sent.Get();
    if (before != 0) most = std::max(most, sent - before);
    before = sent;
  }
  engine_->RunFor(milliseconds(10));
  EXPECT_LE(most, 2 * (uint64_t{4} << 20) + kAnswerBytes);
  EXPECT_GT(engine_->counters().sends_postponed.Get(), 0u);
  EXPECT_EQ(peers_[small]->PeerRead(SIZE_MAX), ExpectedAnswer(Command::kEcho, "a little"));
  std::string request_body(4, '\0');
  std::memcpy(request_body.data(), &kAnswerBytes, 4);
  const std::string answer = ExpectedAnswer(Command::kLarge, request_body);
  for (size_t peer = 1; peer < peers_.size(); ++peer) {
    EXPECT_TRUE(peers_[peer]->PeerRead(SIZE_MAX) == answer) << peer;
  }
  engine_->ExpectNothingLeft();
}

}  // namespace
}  // namespace ringmaster::simulation
