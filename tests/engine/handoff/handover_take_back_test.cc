#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/handoff/relay.h"
#include "tests/engine/handoff/two_workers.h"

// A taker that dies when connections are its own already. What it has not touched the giver takes
// back. The test is the taker, so it decides what the taker does before it dies.

namespace ringmaster {
namespace {

using std::chrono::milliseconds;

class TakeBackTest : public TwoWorkersTest {
 protected:
  // The old worker has given `count` connections, all of them to the test.
  void GiveAll(size_t count) {
    Start();
    while (clients_.size() < count) Ask(Connect(), "hello");
    Take();
  }
  void Take() {
    channel_ = TakeFromOld();
    std::optional<ReceivedDescriptors> batch;
    ASSERT_TRUE(Until([&] { return (batch = TakeMessage(channel_.get())).has_value(); }));
    taken_ = std::move(*batch);
    const std::string all(taken_.fds.size() - 1, '\1');
    ASSERT_TRUE(SendDescriptors(channel_.get(), Verdict(1, all), {}));
    std::optional<ReceivedDescriptors> word;
    ASSERT_TRUE(Until([&] { return (word = TakeMessage(channel_.get())).has_value(); }));
    EXPECT_EQ(word->bytes, Verdict(1, all));
  }
  int Taken(size_t index) const { return taken_.fds[index + 1].get(); }
  // The taker's process ends, as the kernel sees it.
  void Die() {
    taken_.fds.clear();
    channel_.Reset();
  }
  // And as the master does then.
  void DieAndTakeBack(ControlMessage said = ControlMessage::kHandoffBroken) {
    Die();
    Await(said);
    old_->Tell(ControlMessage::kTakeBack);
    TurnTimes(5);
  }
  void ExpectServed(size_t index, std::string_view count = "2\n") {
    EXPECT_EQ(Ask(*clients_[index], "count"), count) << index;
    EXPECT_FALSE(clients_[index]->ended()) << index;
    EXPECT_EQ(LifeOf(index).adopted, 1) << index;
    EXPECT_EQ(LifeOf(index).sessions_alive, 1) << index;
  }
  // Nobody tells the sessions of a process that is dead.
  void ExpectLost(std::vector<size_t> indices) {
    EXPECT_TRUE(Until([&] {
      return std::all_of(indices.begin(), indices.end(),
                         [&](size_t index) { return clients_[index]->ended(); });
    }));
    lost_ = indices.size();
    std::sort(indices.rbegin(), indices.rend());
    for (const size_t index : indices) {
      EXPECT_EQ(LifeOf(index).adopted, 0);
      EXPECT_EQ(LifeOf(index).sessions_alive, 0);
      lives_.erase(IdOf(index));
    }
  }
  void TearDown() override {
    Die();
    TwoWorkersTest::TearDown();
  }
  // To the new worker, whose own they are at the end.
  UniqueFd PassOn(bool more) {
    UniqueFd to_new = GiveToNew();
    taken_.bytes =
        BatchHeader{.sequence = 1, .count = taken_.fds.size() - 1, .more = more}.Encode();
    EXPECT_TRUE(Pass(to_new.get(), taken_));
    EXPECT_TRUE(Until([&] { return TakeMessage(to_new.get()).has_value(); }));
    EXPECT_TRUE(
        SendDescriptors(to_new.get(), Verdict(1, std::string(taken_.fds.size() - 1, '\1')), {}));
    EXPECT_TRUE(Until([&] { return adopted() == taken_.fds.size() - 1; }));
    return to_new;
  }
  UniqueFd channel_;
  ReceivedDescriptors taken_;
};

TEST_F(TakeBackTest, WhatTheTakerHasNotTouchedGoesOnInTheGiver) {
  options_.connections_max = 100;
  options_.address.connections_max = 50;
  ShareLimits();
  GiveAll(20);
  EXPECT_EQ(old_->open(), 0u);
  EXPECT_EQ(limits_->count(SharedLimits::kServerGate), 0u);
  DieAndTakeBack();
  EXPECT_EQ(old_->open(), 20u);
  EXPECT_EQ(limits_->count(SharedLimits::kServerGate), 20u);
  for (size_t i = 0; i < clients_.size(); ++i) ExpectServed(i);
  // The door is open again, too.
  EXPECT_EQ(Ask(Connect(), "hello"), "hello\n");
}

TEST_F(TakeBackTest, WhatCameMeanwhileIsRead) {
  GiveAll(3);
  clients_[0]->Send("fir");
  clients_[1]->Send("one\ntwo\n");
  clients_[2]->Send("last\n");
  clients_[2]->Finish();
  DieAndTakeBack();
  clients_[0]->Send("st\n");
  EXPECT_TRUE(Until([&] { return clients_[0]->got() == "first\n"; })) << clients_[0]->got();
  EXPECT_TRUE(Until([&] { return clients_[1]->got() == "one\ntwo\n"; })) << clients_[1]->got();
  EXPECT_TRUE(Until([&] { return clients_[2]->ended(); }));
  EXPECT_EQ(clients_[2]->got(), "last\n");
}

TEST_F(TakeBackTest, HalfALineAndWhatIsUnsentComeBack) {
  Start();
  Client& half = Connect();
  half.Send("hel");
  Client& slow = Connect(/*receive_buffer_bytes=*/4096);
  slow.Send("big 8000000\n");
  EXPECT_TRUE(Until([&] { return old_->counters.messages.Get() == 1; }));
  TurnFor(milliseconds(50));
  Take();
  DieAndTakeBack();
  EXPECT_EQ(old_->open(), 2u);
  half.Send("lo\n");
  EXPECT_TRUE(Until([&] { return half.got() == "hello\n"; })) << half.got();
  EXPECT_TRUE(Until([&] { return slow.got().size() >= 8000000; }));
  EXPECT_EQ(slow.got(), PatternOf(8000000));
}

TEST_F(TakeBackTest, WhatTheTakerHasReadOrWrittenIsLostWithIt) {
  GiveAll(5);
  char byte;
  clients_[1]->Send("x\n");
  ASSERT_TRUE(Until([&] { return recv(Taken(1), &byte, 1, MSG_DONTWAIT) == 1; }));
  ASSERT_EQ(send(Taken(3), "y", 1, MSG_NOSIGNAL), 1);
  ASSERT_EQ(shutdown(Taken(4), SHUT_WR), 0);
  DieAndTakeBack();
  EXPECT_EQ(old_->open(), 2u);
  ExpectServed(0);
  ExpectServed(2);
  ExpectLost({1, 3, 4});
  EXPECT_TRUE(clients_[1]->reset()) << "there was more to read";
}

TEST_F(TakeBackTest, APeerThatIsGoneIsGone) {
  GiveAll(2);
  // A reset, since the taker had said something.
  ASSERT_EQ(send(Taken(0), "y", 1, MSG_NOSIGNAL), 1);
  clients_[0]->Close();
  clients_[1]->Close();
  DieAndTakeBack();
  EXPECT_TRUE(Until([&] { return old_->open() == 0; }));
  EXPECT_EQ(LifeOf(1).adopted, 1) << "it ends as any other whose peer closes";
  EXPECT_EQ(LifeOf(1).reason, CloseReason::kPeerClosed);
  lost_ = 1;
  lives_.erase(IdOf(0));
}

TEST_F(TakeBackTest, AcrossTwoHandOversBytesAreCountedFromTheBeginning) {
  GiveAll(2);
  DieAndTakeBack();
  ExpectServed(0);
  ExpectServed(1);
  lives_[IdOf(0)].adopted = lives_[IdOf(1)].adopted = 0;
  Take();
  DieAndTakeBack();
  ExpectServed(0, "3\n");
  ExpectServed(1, "3\n");
}

TEST_F(TakeBackTest, WhoServesAgainWithoutADeadTakerHasNothingBack) {
  GiveAll(2);
  channel_.Reset();
  AwaitBroken();
  old_->Tell(ControlMessage::kServe);
  TurnTimes(5);
  EXPECT_EQ(old_->open(), 0u);
  // They are the taker's, who lives.
  ASSERT_EQ(send(Taken(0), "alive\n", 6, MSG_NOSIGNAL), 6);
  EXPECT_TRUE(Until([&] { return clients_[0]->got() == "alive\n"; }));
  Die();
  ExpectLost({0, 1});
}

TEST_F(TakeBackTest, WhoResumesMayStillTakeBack) {
  GiveAll(2);
  old_->Tell(ControlMessage::kResume);
  TurnTimes(5);
  EXPECT_EQ(Ask(Connect(), "hello"), "hello\n");
  EXPECT_EQ(old_->open(), 1u);
  DieAndTakeBack(ControlMessage::kHandedOver);
  EXPECT_EQ(old_->open(), 3u);
  ExpectServed(0);
  ExpectServed(1);
}

TEST_F(TakeBackTest, BehindTheLastPassTheTakersCloseIsSeenWithinASecond) {
  GiveAll(2);
  EXPECT_EQ(AwaitHandedOver(), 2u);
  const auto begun = std::chrono::steady_clock::now();
  taken_.fds.clear();
  ExpectLost({0, 1});
  EXPECT_LT(std::chrono::steady_clock::now() - begun, milliseconds(2000));
  // Too late: there is nothing to take back.
  channel_.Reset();
  old_->Tell(ControlMessage::kTakeBack);
  TurnTimes(5);
  EXPECT_EQ(old_->open(), 0u);
}

TEST_F(TakeBackTest, AStopKeepsNothing) {
  GiveAll(2);
  AwaitHandedOver();
  taken_.fds.clear();
  const auto begun = std::chrono::steady_clock::now();
  old_->Tell(ControlMessage::kStop);
  ExpectLost({0, 1});
  EXPECT_LT(std::chrono::steady_clock::now() - begun, milliseconds(500));
}

// So that a taker that dies at the next batch has not touched them yet.
TEST_F(TakeBackTest, WhileThereAreMoreToComeNobodyBegins) {
  GiveAll(2);
  const UniqueFd to_new = PassOn(/*more=*/true);
  const auto decided = std::chrono::steady_clock::now();
  EXPECT_TRUE(Until([&] { return LifeOf(0).adopted == 1 && LifeOf(1).adopted == 1; }));
  EXPECT_GE(std::chrono::steady_clock::now() - decided, milliseconds(15));
  EXPECT_EQ(Ask(*clients_[0], "count"), "2\n");
}

TEST_F(TakeBackTest, TheLastBatchBeginsAtOnce) {
  GiveAll(2);
  const UniqueFd to_new = PassOn(/*more=*/false);
  EXPECT_EQ(LifeOf(0).adopted, 1);
  EXPECT_EQ(LifeOf(1).adopted, 1);
}

TEST_F(TakeBackTest, WhoServesLetsThemBegin) {
  GiveAll(2);
  const UniqueFd to_new = PassOn(/*more=*/true);
  EXPECT_EQ(LifeOf(0).adopted, 0);
  new_->Tell(ControlMessage::kServe);
  TurnTimes(2);
  EXPECT_EQ(LifeOf(0).adopted, 1);
  EXPECT_EQ(LifeOf(1).adopted, 1);
}

TEST_F(TakeBackTest, WhatComesHomeIsNotKeptAnyMore) {
  Start();
  for (int i = 0; i < 3; ++i) Ask(Connect(), "hello");
  EXPECT_EQ(HandOver(), 3u);
  EXPECT_TRUE(Until([&] { return adopted() == 3; }));
  // Backwards, as an abandoned reload goes.
  const SocketPair channel;
  old_->Give(ControlMessage::kAdopt, channel.a.get());
  new_->Give(ControlMessage::kHandOver, channel.b.get());
  EXPECT_TRUE(Until([&] { return old_->open() == 3; }));
  clients_[0]->Send("more");
  TurnTimes(20);
  new_->Tell(ControlMessage::kStop);
  EXPECT_TRUE(Until([&] { return new_->stopped; }));
  old_->Tell(ControlMessage::kTakeBack);
  TurnTimes(5);
  EXPECT_EQ(old_->open(), 3u);
  clients_[0]->Send("\n");
  EXPECT_TRUE(Until([&] { return clients_[0]->got() == "more\n"; })) << clients_[0]->got();
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(LifeOf(i).adopted, 2);
}

}  // namespace
}  // namespace ringmaster
