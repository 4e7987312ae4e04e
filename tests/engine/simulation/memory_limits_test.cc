#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/log.h"
#include "gtest/gtest.h"
#include "tests/engine/simulation/echo_protocol.h"
#include "tests/engine/simulation/simulated_engine.h"

// What a worker does when it holds too much for its connections: who is paused, who is closed, who
// is left alone.

namespace ringmaster::simulation {
namespace {

using std::chrono::milliseconds;

constexpr size_t kSoft = 200 * 1024;
constexpr size_t kHard = 400 * 1024;

class MemoryLimitsTest : public testing::Test {
 protected:
  void SetUp() override { static_cast<void>(log::Setup("off", "text", "", "test")); }

  static SimulatedEngine::Options Limited() {
    SimulatedEngine::Options options;
    options.buffered_bytes_soft = kSoft;
    options.buffered_bytes_hard = kHard;
    options.ring.buffer_bytes = 4096;
    return options;
  }

  void Start(const SimulatedEngine::Options& options = Limited()) {
    engine_ = std::make_unique<SimulatedEngine>(world_, protocol_, options);
  }

  size_t Connect(size_t to_peer_bytes = 1000) {
    protocol_.records().push_back(std::make_unique<ConnectionRecord>());
    // Deadlines are late for who is paused.
    protocol_.records().back()->was_held_back = true;
    peers_.push_back(engine_->ConnectPeer({.to_peer_bytes = to_peer_bytes}));
    engine_->RunFor(milliseconds(1));
    return peers_.size() - 1;
  }
  // The beginning of a request that is never finished; it is held as input.
  void SendPart(size_t peer, size_t bytes) {
    const std::string request = EncodeRequest(Command::kEcho, std::string(60'000, 'x'));
    peers_[peer]->PeerSend(std::string_view(request).substr(0, bytes));
    engine_->RunFor(milliseconds(2));
  }
  void AskForAnswer(size_t peer, uint32_t bytes) {
    peers_[peer]->PeerSend(EncodeLargeRequest(Command::kLarge, bytes));
    engine_->RunFor(milliseconds(2));
  }
  bool Echoes(size_t peer) {
    const std::string request = EncodeRequest(Command::kEcho, "are you there?");
    peers_[peer]->PeerSend(request);
    engine_->RunFor(milliseconds(2));
    return peers_[peer]->PeerRead(1000) == ExpectedAnswer(Command::kEcho, "are you there?");
  }
  CloseReason ReasonOf(size_t peer) { return protocol_.records()[peer]->close_reason; }
  size_t Held() { return engine_->worker().buffered_bytes(); }
  uint64_t PausedCount() { return engine_->counters().receive_paused_memory.Get(); }

  World world_{1};
  EchoProtocol protocol_{world_};
  std::unique_ptr<SimulatedEngine> engine_;
  std::vector<std::shared_ptr<SimulatedStream>> peers_;
};

TEST_F(MemoryLimitsTest, CountsInputAndOutputToTheByteAndBackToNothing) {
  Start();
  const size_t half = Connect();
  SendPart(half, 50'000);
  EXPECT_GE(engine_->counters().buffered_input_bytes.Get(), 50'000u);
  EXPECT_LE(engine_->counters().buffered_input_bytes.Get(), 2 * 50'000u + 4096);
  const size_t reader = Connect();
  AskForAnswer(reader, 50'000);
  EXPECT_GE(engine_->counters().buffered_output_bytes.Get(), 49'000u);
  EXPECT_LE(engine_->counters().buffered_output_bytes.Get(), 55'000u);
  EXPECT_EQ(Held(), engine_->counters().buffered_input_bytes.Get() +
                        engine_->counters().buffered_output_bytes.Get());
  for (int i = 0; i < 100; ++i) {
    peers_[reader]->PeerRead(SIZE_MAX);
    engine_->RunFor(milliseconds(1));
  }
  EXPECT_EQ(engine_->counters().buffered_output_bytes.Get(), 0u);
  peers_[half]->PeerReset();
  engine_->RunFor(milliseconds(5));
  EXPECT_EQ(Held(), 0u);
  engine_->ExpectNothingLeft();
}

TEST_F(MemoryLimitsTest, AStuckAnswerOfAFewBytesHoldsLittle) {
  Start();
  const size_t peer = Connect(100);
  peers_[peer]->PeerSend(EncodeRequest(Command::kEcho, std::string(200, 'x')));
  engine_->RunFor(milliseconds(5));
  EXPECT_GT(Held(), 0u);
  EXPECT_LT(Held(), 2048u);
  engine_->ExpectNothingLeft();
}

TEST_F(MemoryLimitsTest, AboveSoftTheFattestAreNoLongerReceivedAndTheOthersGoOn) {
  Start();
  std::vector<size_t> fat;
  for (int i = 0; i < 6; ++i) {
    fat.push_back(Connect());
    SendPart(fat.back(), 50'000);
  }
  const size_t thin = Connect();
  EXPECT_GT(Held(), kSoft);
  EXPECT_LT(Held(), kHard);
  EXPECT_GT(PausedCount(), 0u);
  const uint64_t received = engine_->counters().bytes_received.Get();
  // Those who are not paused hold less than soft together: three, of 64 KiB each.
  for (const size_t peer : fat) peers_[peer]->PeerSend(std::string(4'000, 'x'));
  engine_->RunFor(milliseconds(5));
  EXPECT_EQ(engine_->counters().bytes_received.Get(), received + 3 * 4'000);
  EXPECT_TRUE(Echoes(thin));
  engine_->ExpectNothingLeft();
}

TEST_F(MemoryLimitsTest, TheyGoOnWhenThereIsRoomAgain) {
  Start();
  std::vector<size_t> fat;
  for (int i = 0; i < 6; ++i) {
    fat.push_back(Connect(100'000));
    SendPart(fat.back(), 50'000);
  }
  ASSERT_GT(PausedCount(), 0u);
  for (int i = 0; i < 5; ++i) peers_[fat[static_cast<size_t>(i)]]->PeerReset();
  // Whoever is paused is not told that its peer has gone: the deadline of its item finds that out.
  engine_->RunFor(engine_->stream_options().timeouts.message + milliseconds(200));
  const size_t other = Connect(100'000);
  const std::string request = EncodeRequest(Command::kEcho, std::string(60'000, 'x'));
  peers_[other]->PeerSend(request);
  engine_->RunFor(milliseconds(20));
  EXPECT_EQ(peers_[other]->PeerRead(SIZE_MAX), ExpectedAnswer(Command::kEcho, request.substr(3)));
  engine_->ExpectNothingLeft();
}

TEST_F(MemoryLimitsTest, WhoIsPausedStillHandlesWhatItHasReceived) {
  SimulatedEngine::Options options = Limited();
  options.stream.send_queue_bytes_high = 4096;
  options.stream.send_queue_bytes_low = 1024;
  Start(options);
  // Answers that are not read hold requests back behind them, and others bring the worker above
  // soft.
  const size_t peer = Connect(1000);
  std::string requests;
  std::string answers;
  for (int i = 0; i < 60; ++i) {
    requests += EncodeRequest(Command::kEcho, std::string(1000, static_cast<char>('a' + i % 26)));
    answers += ExpectedAnswer(Command::kEcho, std::string(1000, static_cast<char>('a' + i % 26)));
  }
  size_t sent = peers_[peer]->PeerSend(requests);
  for (int i = 0; i < 3; ++i) SendPart(Connect(), 50'000);
  ASSERT_GT(PausedCount(), 0u);
  std::string got;
  for (int i = 0; i < 200; ++i) {
    got += peers_[peer]->PeerRead(SIZE_MAX);
    sent += peers_[peer]->PeerSend(std::string_view(requests).substr(sent));
    engine_->RunFor(milliseconds(1));
  }
  EXPECT_EQ(got.size(), answers.size());
  EXPECT_TRUE(got == answers);
  engine_->ExpectNothingLeft();
}

TEST_F(MemoryLimitsTest, WhoIsPausedWithAnIncompleteItemIsClosedAtItsDeadline) {
  SimulatedEngine::Options options = Limited();
  options.stream.timeouts.message = milliseconds(500);
  Start(options);
  for (int i = 0; i < 6; ++i) SendPart(Connect(), 50'000);
  ASSERT_GT(PausedCount(), 0u);
  engine_->RunFor(milliseconds(700));
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_TRUE(ReasonOf(i) == CloseReason::kMemory || ReasonOf(i) == CloseReason::kMessageTimeout);
  }
  EXPECT_EQ(Held(), 0u);
  engine_->ExpectNothingLeft();
}

// Nothing of it is with the kernel: the kernel has no memory either.
TEST_F(MemoryLimitsTest, WhoIsClosedWithOutputInItsQueueIsReset) {
  world_.faults.send_no_memory = 1;
  Start();
  for (int i = 0; i < 10; ++i) AskForAnswer(Connect(), 50'000);
  int closed = 0;
  for (size_t i = 0; i < 10; ++i) {
    if (ReasonOf(i) != CloseReason::kMemory) continue;
    ++closed;
    EXPECT_TRUE(peers_[i]->peer_sees_reset()) << i;
  }
  EXPECT_GT(closed, 0);
  world_.faults.send_no_memory = 0;
  engine_->ExpectNothingLeft();
}

// All memory was held by uploads that waited for memory. Nobody noticed that their clients had left
// until a minute later.
TEST_F(MemoryLimitsTest, WhereEverybodyWaitsForMemoryAFewGoOnAtATime) {
  SimulatedEngine::Options options = Limited();
  options.stream.timeouts.message = std::chrono::seconds(60);
  Start(options);
  for (int i = 0; i < 6; ++i) SendPart(Connect(), 50'000);
  ASSERT_GT(PausedCount(), 0u);
  const size_t whole = Connect();
  SendPart(whole, 30'000);
  for (size_t i = 0; i < 6; ++i) peers_[i]->PeerReset();
  engine_->RunFor(milliseconds(1000));
  int noticed = 0;
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_NE(ReasonOf(i), CloseReason::kNone) << i;
    noticed += ReasonOf(i) == CloseReason::kPeerReset;
  }
  EXPECT_GE(noticed, 4);
  const std::string request = EncodeRequest(Command::kEcho, std::string(60'000, 'x'));
  peers_[whole]->PeerSend(std::string_view(request).substr(30'000));
  engine_->RunFor(milliseconds(50));
  EXPECT_GT(peers_[whole]->peer_readable(), 0u);
  engine_->ExpectNothingLeft();
}

TEST_F(MemoryLimitsTest, AboveHardTheFattestAreClosedAndTheOthersStay) {
  Start();
  const size_t thin = Connect();
  std::vector<size_t> slow;
  for (int i = 0; i < 20; ++i) {
    slow.push_back(Connect());
    AskForAnswer(slow.back(), 50'000);
    EXPECT_LE(Held(), kHard + 51'000);
  }
  EXPECT_LE(Held(), kHard);
  EXPECT_GT(Held(), kHard / 2);
  int closed = 0;
  for (const size_t peer : slow) closed += ReasonOf(peer) == CloseReason::kMemory;
  EXPECT_GT(closed, 10);
  EXPECT_LT(closed, 20);
  EXPECT_EQ(ReasonOf(thin), CloseReason::kNone);
  EXPECT_TRUE(Echoes(thin));
  engine_->ExpectNothingLeft();
}

// Many requests in one turn: the limit holds within it, not only at its end.
TEST_F(MemoryLimitsTest, OneTurnExceedsTheHardLimitByOneMessageAtMost) {
  Start();
  for (int i = 0; i < 30; ++i) Connect();
  size_t most = 0;
  engine_->ring().set_turn_hook([&] { most = std::max(most, Held()); });
  for (const auto& peer : peers_) {
    for (int i = 0; i < 5; ++i) peer->PeerSend(EncodeLargeRequest(Command::kLarge, 50'000));
  }
  engine_->RunFor(milliseconds(50));
  EXPECT_GT(most, kHard / 2);
  EXPECT_LE(most, kHard + 50'000 + 20'000);
  engine_->ring().set_turn_hook([] {});
  engine_->ExpectNothingLeft();
}

// So many that each holds less than what is innocent otherwise: the limit holds all the same.
TEST_F(MemoryLimitsTest, ManyConnectionsThatHoldLittleEachAreTooManyAllTheSame) {
  Start();
  for (int i = 0; i < 200; ++i) {
    const size_t peer = Connect();
    SendPart(peer, 5'000);
    ASSERT_LE(Held(), kHard);
  }
  EXPECT_GT(engine_->counters().closed_by_reason[static_cast<int>(CloseReason::kMemory)].Get(),
            20u);
  engine_->ExpectNothingLeft();
}

TEST_F(MemoryLimitsTest, AtTheHardLimitOutputOfNobodyIsQueuedExceptALittle) {
  SimulatedEngine::Options options = Limited();
  options.buffered_bytes_soft = 0;
  Start(options);
  for (int i = 0; i < 30; ++i) Connect();
  // As a message to everybody does, outside of any receive.
  int refused = 0;
  for (const auto& record : protocol_.records()) {
    Connection* connection = engine_->worker().Find(record->connection_id);
    ASSERT_NE(connection, nullptr);
    refused += connection->SendMessage({}, std::string(50'000, 'n'), false) == SendResult::kFull;
    EXPECT_EQ(connection->SendControl("x"), SendResult::kQueued);
    EXPECT_LE(Held(), kHard + 50'000 + 30 * (SendQueue::kInlineBytes + 1024));
  }
  EXPECT_GT(refused, 5);
  engine_->RunFor(milliseconds(5));
  EXPECT_LE(Held(), kHard);
  engine_->ExpectNothingLeft();
}

}  // namespace
}  // namespace ringmaster::simulation
