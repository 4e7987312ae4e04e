#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/log.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/engine/simulation/simulated_engine.h"

// A full send queue: what each policy does, as the sender hears it and as the receiver sees it.

namespace ringmaster::simulation {
namespace {

using std::chrono::milliseconds;

// Sends nothing by itself; the test sends for it.
class PushProtocol final : public Protocol {
 public:
  class PushSession final : public Session {
   public:
    explicit PushSession(PushProtocol& protocol) : protocol_(protocol) {}
    size_t OnInput(Connection& connection, std::span<char> input) override {
      connection.ClearWait();
      return input.size();
    }
    void OnBackpressure(Connection&) override { ++protocol_.backpressure_count; }
    void OnDrained(Connection&) override { ++protocol_.drained_count; }
    void OnSendQueueFull(Connection& connection) override {
      protocol_.goodbye_result = connection.SendControl("goodbye", /*last=*/true);
    }
    void OnClosed(Connection&, CloseReason reason) override { protocol_.close_reason = reason; }

   private:
    PushProtocol& protocol_;
  };

  std::string_view name() const override { return "push"; }
  std::unique_ptr<Session> NewSession(Connection& connection) override {
    connection_ids.push_back(connection.id());
    return std::make_unique<PushSession>(*this);
  }

  std::vector<uint64_t> connection_ids;
  int backpressure_count = 0;
  int drained_count = 0;
  SendResult goodbye_result = SendResult::kClosed;
  CloseReason close_reason = CloseReason::kNone;
};

// u32 bytes of body | u32 number | body: so that a receiver notices a message that was cut.
std::string NumberedMessage(uint32_t number, size_t body_bytes) {
  const auto bytes = static_cast<uint32_t>(body_bytes);
  std::string message(8, '\0');
  std::memcpy(message.data(), &bytes, 4);
  std::memcpy(message.data() + 4, &number, 4);
  message.append(body_bytes, static_cast<char>('a' + number % 26));
  return message;
}

// Takes numbered messages apart and holds them to their form and order.
class NumberedReader {
 public:
  void Take(std::string_view bytes) {
    bytes_.append(bytes);
    while (bytes_.size() - at_ >= 8) {
      uint32_t body_bytes;
      uint32_t number;
      std::memcpy(&body_bytes, bytes_.data() + at_, 4);
      std::memcpy(&number, bytes_.data() + at_ + 4, 4);
      if (bytes_.size() - at_ < 8 + size_t{body_bytes}) break;
      const std::string expected = NumberedMessage(number, body_bytes);
      EXPECT_EQ(bytes_.compare(at_, expected.size(), expected), 0) << "message " << number;
      EXPECT_TRUE(numbers_.empty() || number > numbers_.back()) << number;
      numbers_.push_back(number);
      at_ += expected.size();
    }
  }
  const std::vector<uint32_t>& numbers() const { return numbers_; }
  std::string_view rest() const { return std::string_view(bytes_).substr(at_); }

 private:
  std::string bytes_;
  size_t at_ = 0;
  std::vector<uint32_t> numbers_;
};

class QueuePolicyTest : public testing::Test {
 protected:
  void SetUp() override {
    static_cast<void>(log::Setup("off", "text", "", "test"));
    options_.stream.send_queue_bytes_max = 64 * 1024;
    options_.stream.send_queue_bytes_high = 32 * 1024;
    options_.stream.send_queue_bytes_low = 8 * 1024;
  }

  void Open(SendQueuePolicy policy) {
    options_.stream.send_queue_policy = policy;
    engine_ = std::make_unique<SimulatedEngine>(world_, protocol_, options_);
    // The kernel takes a thousand bytes, then the peer has to read.
    peer_ = engine_->ConnectPeer({.to_peer_bytes = 1000});
    engine_->RunFor(milliseconds(1));
  }

  Connection& connection() {
    Connection* found = engine_->worker().Find(protocol_.connection_ids.back());
    EXPECT_NE(found, nullptr);
    return *found;
  }
  SendResult Push(size_t body_bytes = 1000) {
    const SendResult result =
        connection().SendMessage({}, NumberedMessage(next_number_++, body_bytes), false);
    EXPECT_LE(connection().output_bytes(), options_.stream.send_queue_bytes_max);
    return result;
  }
  // Pushes in turns of their own, so that a send is stuck, until the result is none of the usual.
  SendResult PushUntilFull() {
    for (int i = 0; i < 200; ++i) {
      const SendResult result = Push();
      if (result != SendResult::kQueued && result != SendResult::kAboveHigh) return result;
      engine_->RunFor(milliseconds(1));
    }
    ADD_FAILURE() << "the queue is never full";
    return SendResult::kQueued;
  }
  void ReadAll() {
    for (int i = 0; i < 1000; ++i) {
      reader_.Take(peer_->PeerRead(SIZE_MAX));
      engine_->RunFor(milliseconds(1));
    }
  }
  uint64_t Count(const Counter& counter) const { return counter.Get(); }
  WorkerCounters& counters() { return engine_->counters(); }

  World world_{1};
  PushProtocol protocol_;
  SimulatedEngine::Options options_;
  std::unique_ptr<SimulatedEngine> engine_;
  std::shared_ptr<SimulatedStream> peer_;
  NumberedReader reader_;
  uint32_t next_number_ = 0;
};

TEST_F(QueuePolicyTest, RefuseQueuesNothingOfWhatDoesNotFit) {
  Open(SendQueuePolicy::kRefuse);
  EXPECT_EQ(PushUntilFull(), SendResult::kFull);
  EXPECT_EQ(Count(counters().send_refused), 1u);
  ReadAll();
  EXPECT_EQ(reader_.numbers().size(), next_number_ - 1);
  EXPECT_EQ(reader_.numbers().back(), next_number_ - 2);
  engine_->ExpectNothingLeft();
}

TEST_F(QueuePolicyTest, DropNewestKeepsWhatWasQueued) {
  Open(SendQueuePolicy::kDropNewest);
  EXPECT_EQ(PushUntilFull(), SendResult::kDroppedNewest);
  const uint32_t queued = next_number_ - 1;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Push(), SendResult::kDroppedNewest);
  EXPECT_EQ(Count(counters().send_dropped_newest), 11u);
  ReadAll();
  EXPECT_EQ(Push(), SendResult::kQueued);
  ReadAll();
  EXPECT_EQ(reader_.numbers().size(), queued + 1);
  EXPECT_EQ(reader_.numbers()[queued - 1], queued - 1);
  EXPECT_EQ(reader_.numbers().back(), next_number_ - 1);
  EXPECT_EQ(reader_.rest(), "");
  engine_->ExpectNothingLeft();
}

TEST_F(QueuePolicyTest, DropOldestMakesRoomForTheNewest) {
  Open(SendQueuePolicy::kDropOldest);
  EXPECT_EQ(PushUntilFull(), SendResult::kDroppedOldest);
  for (int i = 0; i < 200; ++i) {
    EXPECT_TRUE(Queued(Push()));
    if (i % 10 == 0) engine_->RunFor(milliseconds(1));
    // A peer that reads a little must not turn the policy around.
    if (i % 50 == 0) reader_.Take(peer_->PeerRead(700));
  }
  ReadAll();
  EXPECT_EQ(reader_.numbers().size() + Count(counters().send_dropped_oldest), next_number_);
  EXPECT_EQ(Count(counters().send_dropped_newest), 0u);
  EXPECT_EQ(reader_.rest(), "");
  // The latest all came, the first was on its way.
  ASSERT_GE(reader_.numbers().size(), 40u);
  EXPECT_EQ(reader_.numbers().front(), 0u);
  for (size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(reader_.numbers()[reader_.numbers().size() - 1 - i], next_number_ - 1 - i);
  }
  engine_->ExpectNothingLeft();
}

TEST_F(QueuePolicyTest, DropOldestWithinOneTurn) {
  Open(SendQueuePolicy::kDropOldest);
  for (int i = 0; i < 1000; ++i) Push();
  engine_->RunFor(milliseconds(1));
  ReadAll();
  EXPECT_EQ(reader_.numbers().size() + Count(counters().send_dropped_oldest), 1000u);
  EXPECT_GT(reader_.numbers().size(), 50u);
  EXPECT_EQ(reader_.numbers().back(), 999u);
  engine_->ExpectNothingLeft();
}

TEST_F(QueuePolicyTest, DropOldestDropsTheNewestWhenNothingOlderMayGo) {
  Open(SendQueuePolicy::kDropOldest);
  // All of it is in flight.
  EXPECT_EQ(Push(60'000), SendResult::kAboveHigh);
  engine_->RunFor(milliseconds(1));
  EXPECT_EQ(Push(10'000), SendResult::kDroppedNewest);
  EXPECT_EQ(Count(counters().send_dropped_oldest), 0u);
  ReadAll();
  EXPECT_EQ(reader_.numbers(), std::vector<uint32_t>{0});
  engine_->ExpectNothingLeft();
}

TEST_F(QueuePolicyTest, CloseSaysGoodbyeAndCloses) {
  options_.stream.timeouts.close = milliseconds(500);
  Open(SendQueuePolicy::kClose);
  EXPECT_EQ(PushUntilFull(), SendResult::kClosed);
  EXPECT_FALSE(connection().open());
  // A smaller one would fit, but nothing may follow the gap.
  EXPECT_EQ(Push(1), SendResult::kClosed);
  ReadAll();
  EXPECT_EQ(protocol_.goodbye_result, SendResult::kAboveHigh);
  EXPECT_EQ(protocol_.close_reason, CloseReason::kSendQueueFull);
  EXPECT_EQ(reader_.numbers().size(), next_number_ - 2);
  EXPECT_EQ(reader_.rest(), "goodbye");
  EXPECT_TRUE(peer_->peer_sees_end());
  engine_->ExpectNothingLeft();
}

TEST_F(QueuePolicyTest, CloseDoesNotWaitForAPeerThatDoesNotRead) {
  options_.stream.timeouts.close = milliseconds(100);
  Open(SendQueuePolicy::kClose);
  EXPECT_EQ(PushUntilFull(), SendResult::kClosed);
  engine_->RunFor(milliseconds(150));
  EXPECT_EQ(protocol_.close_reason, CloseReason::kSendQueueFull);
  EXPECT_EQ(engine_->worker().connection_count(), 0u);
  engine_->ExpectNothingLeft();
}

TEST_F(QueuePolicyTest, AMessageThatNeverFitsIsRefusedWhateverThePolicy) {
  for (const SendQueuePolicy policy : {SendQueuePolicy::kRefuse, SendQueuePolicy::kDropNewest,
                                       SendQueuePolicy::kDropOldest, SendQueuePolicy::kClose}) {
    Open(policy);
    EXPECT_EQ(Push(70'000), SendResult::kFull);
    EXPECT_EQ(Push(10), SendResult::kQueued);
    EXPECT_EQ(connection().SendShared(std::string_view("", 0), std::make_shared<int>()),
              SendResult::kQueued);
    const auto large = std::make_shared<const std::string>(70'000, 'x');
    EXPECT_EQ(connection().SendShared(*large, large), SendResult::kFull);
    EXPECT_EQ(connection().Send(*large), SendResult::kFull);
    EXPECT_EQ(connection().ReserveOutput(70'000), nullptr);
    engine_->ExpectNothingLeft();
  }
}

TEST_F(QueuePolicyTest, ControlFitsAFullQueueAndAGoodbyeFitsBehindIt) {
  Open(SendQueuePolicy::kRefuse);
  EXPECT_EQ(PushUntilFull(), SendResult::kFull);
  while (Push(1) != SendResult::kFull) {
  }
  int control = 0;
  while (connection().SendControl("pong") != SendResult::kFull) ++control;
  EXPECT_GT(control, 10);
  EXPECT_EQ(connection().SendControl(std::string(127, 'g'), /*last=*/true), SendResult::kAboveHigh);
  EXPECT_LE(connection().output_bytes(), options_.stream.send_queue_bytes_max);
  engine_->ExpectNothingLeft();
}

TEST_F(QueuePolicyTest, CanBeSetForOneConnectionAtAnyTime) {
  Open(SendQueuePolicy::kRefuse);
  EXPECT_EQ(PushUntilFull(), SendResult::kFull);
  connection().SetSendQueuePolicy(SendQueuePolicy::kDropNewest);
  EXPECT_EQ(Push(), SendResult::kDroppedNewest);
  // What was queued before has no known bounds: it stays.
  connection().SetSendQueuePolicy(SendQueuePolicy::kDropOldest);
  EXPECT_EQ(Push(), SendResult::kDroppedNewest);
  // Other bounds do not take it back.
  StreamOptions other = options_.stream;
  connection().SetOptions(other);
  EXPECT_EQ(connection().send_queue_policy(), SendQueuePolicy::kDropOldest);
  connection().SetSendQueuePolicy(SendQueuePolicy::kClose);
  EXPECT_EQ(Push(), SendResult::kClosed);
  engine_->ExpectNothingLeft();
}

TEST_F(QueuePolicyTest, BackpressureIsToldOncePerCrossingAndThenDrained) {
  Open(SendQueuePolicy::kRefuse);
  for (int round = 1; round <= 2; ++round) {
    for (int i = 0; i < 50; ++i) {
      Push();
      engine_->RunFor(milliseconds(1));
    }
    EXPECT_EQ(protocol_.backpressure_count, round);
    EXPECT_EQ(protocol_.drained_count, round - 1);
    ReadAll();
    EXPECT_EQ(protocol_.backpressure_count, round);
    EXPECT_EQ(protocol_.drained_count, round);
  }
  engine_->ExpectNothingLeft();
}

TEST_F(QueuePolicyTest, FilesThatWaitForOneAnotherNeedNoMoreThanTheQueueHas) {
  Open(SendQueuePolicy::kRefuse);
  // As a peer that asks for many and reads none makes a server do: input is held back in time.
  int queued = 0;
  while (connection().receiving()) {
    const int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    ASSERT_TRUE(Queued(connection().SendFile(fd, 0, 1'000'000)));
    ASSERT_LT(++queued, 100);
  }
  engine_->RunFor(milliseconds(5));
  EXPECT_LE(connection().output_bytes(), options_.stream.send_queue_bytes_max);
  connection().Abort(CloseReason::kLocal);
  engine_->ExpectNothingLeft();
}

// Every policy under every fault, several connections, sizes and readers drawn: the queue never
// exceeds its bound, and what arrives is whole messages in order, with gaps where the sender was
// told of them.
TEST(QueuePolicies, ReceiversSeeWholeMessagesInOrderUnderEveryFault) {
  static_cast<void>(log::Setup("off", "text", "", "test"));
  uint64_t dropped_oldest = 0;
  uint64_t dropped_newest = 0;
  uint64_t refused = 0;
  uint64_t closed = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    World world(seed, Faults::Some());
    Random& random = world.random;
    PushProtocol protocol;
    SimulatedEngine::Options options;
    options.stream.send_queue_bytes_max = random.Between(4, 64) * 1024;
    options.stream.send_queue_bytes_high = options.stream.send_queue_bytes_max / 2;
    options.stream.send_queue_bytes_low = options.stream.send_queue_bytes_max / 8;
    options.stream.send_queue_policy = static_cast<SendQueuePolicy>(random.Below(4));
    options.stream.timeouts.close = milliseconds(300);
    SimulatedEngine engine(world, protocol, options);
    struct Receiver {
      std::shared_ptr<SimulatedStream> peer;
      NumberedReader reader;
      uint64_t queued = 0;
    };
    std::vector<Receiver> receivers(1 + random.Below(4));
    for (Receiver& receiver : receivers) {
      receiver.peer = engine.ConnectPeer({.to_peer_bytes = random.Between(100, 8000)});
      // One at a time: they are accepted in the order of connection_ids.
      while (protocol.connection_ids.size() <
             static_cast<size_t>(&receiver - receivers.data()) + 1) {
        engine.RunFor(milliseconds(5));
      }
    }
    uint32_t number = 0;
    for (int step = 0; step < 300; ++step) {
      const size_t which = random.Below(receivers.size());
      Receiver& receiver = receivers[which];
      Connection* connection = engine.worker().Find(protocol.connection_ids[which]);
      const uint64_t messages = random.Below(20);
      for (uint64_t i = 0; i < messages && connection != nullptr; ++i) {
        const std::string message = NumberedMessage(++number, random.Below(2000));
        receiver.queued += Queued(connection->SendMessage({}, message, false));
        ASSERT_LE(connection->output_bytes(), options.stream.send_queue_bytes_max);
      }
      if (random.Chance(0.5)) receiver.reader.Take(receiver.peer->PeerRead(random.Below(4000)));
      if (random.Chance(0.7)) {
        engine.RunFor(std::chrono::microseconds(random.Below(300)));
      }
    }
    world.faults = Faults::None();
    for (int i = 0; i < 600; ++i) {
      for (Receiver& receiver : receivers) receiver.reader.Take(receiver.peer->PeerRead(SIZE_MAX));
      engine.RunFor(milliseconds(1));
    }
    uint64_t queued = 0;
    uint64_t arrived = 0;
    for (Receiver& receiver : receivers) {
      queued += receiver.queued;
      arrived += receiver.reader.numbers().size();
      const bool closes = options.stream.send_queue_policy == SendQueuePolicy::kClose;
      ASSERT_TRUE(receiver.reader.rest().empty() || (closes && receiver.reader.rest() == "goodbye"))
          << "seed " << seed << ": a message was cut";
    }
    const WorkerCounters& counters = engine.counters();
    ASSERT_EQ(arrived + counters.send_dropped_oldest.Get(), queued) << "seed " << seed;
    dropped_oldest += counters.send_dropped_oldest.Get();
    dropped_newest += counters.send_dropped_newest.Get();
    refused += counters.send_refused.Get();
    closed += counters.closed_by_reason[static_cast<int>(CloseReason::kSendQueueFull)].Get();
    engine.ExpectNothingLeft();
  }
  // A run that did not reach one of these no longer tests it.
  EXPECT_GT(dropped_oldest, 1000u);
  EXPECT_GT(dropped_newest, 1000u);
  EXPECT_GT(refused, 1000u);
  EXPECT_GT(closed, 50u);
}

}  // namespace
}  // namespace ringmaster::simulation
