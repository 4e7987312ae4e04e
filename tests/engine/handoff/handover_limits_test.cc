#include <algorithm>
#include <chrono>
#include <string>

#include "gtest/gtest.h"
#include "tests/engine/handoff/two_workers.h"

// Limits that both workers share, and the end of a worker that another has taken the place of.

namespace ringmaster {
namespace {

using std::chrono::milliseconds;

class HandOverLimitsTest : public TwoWorkersTest {
 protected:
  uint32_t AtServer() const { return limits_->count(SharedLimits::kServerGate); }
  uint32_t AtListener() const { return limits_->count(SharedLimits::ListenerGate(0)); }
  uint64_t ByAddress() const {
    Counter full;
    return limits_->Addresses(0, full)->TotalForTest();
  }
  void ExpectCounts(uint64_t count) const {
    EXPECT_EQ(AtServer(), count);
    EXPECT_EQ(AtListener(), count);
    EXPECT_EQ(ByAddress(), count);
  }
  void StartLimited() {
    options_.connections_max = 40;
    options_.address.connections_max = 30;
    listener_.connections_max = 30;
    ShareLimits();
    Start();
  }
};

TEST_F(HandOverLimitsTest, CountsAreRightBeforeDuringAndAfter) {
  StartLimited();
  for (int i = 0; i < 10; ++i) Ask(Connect(0, i % 2 == 0 ? "127.0.0.1" : "127.0.0.9"), "hello");
  ExpectCounts(10);
  BeginHandOver();
  while (new_->open() == 0) Turn();
  // Who is on the way has a place in both: the limit is exceeded by nobody meanwhile.
  EXPECT_EQ(adopted(), 0u);
  ExpectCounts(20);
  EXPECT_EQ(AwaitHandedOver(), 10u);
  EXPECT_TRUE(UntilOldIsEmpty());
  EXPECT_TRUE(Until([&] { return adopted() == 10; }));
  ExpectCounts(10);
  for (int i = 0; i < 4; ++i) clients_[i]->Close();
  EXPECT_TRUE(Until([&] { return new_->open() == 6; }));
  ExpectCounts(6);
  // The dead worker's share is nothing now.
  StopBoth();
  EXPECT_TRUE(limits_->TakeBack(0));
  ExpectCounts(0);
}

TEST_F(HandOverLimitsTest, WhoIsRefusedIsCountedOnce) {
  StartLimited();
  for (int i = 0; i < 10; ++i) Ask(Connect(), "hello");
  new_->protocol.refuses = [&](uint64_t id) { return id % 2 == 0; };
  EXPECT_EQ(HandOver(), 5u);
  EXPECT_TRUE(Until([&] { return adopted() == 5; }));
  ExpectCounts(10);
  EXPECT_EQ(old_->open(), 5u);
  EXPECT_EQ(new_->open(), 5u);
}

TEST_F(HandOverLimitsTest, AFullServerHandsOver) {
  options_.connections_max = 4;
  ShareLimits();
  Start();
  for (int i = 0; i < 4; ++i) Ask(Connect(), "hello");
  TurnTimes(5);
  EXPECT_EQ(AtServer(), 4u);
  EXPECT_EQ(HandOver(), 4u);
  EXPECT_TRUE(Until([&] { return adopted() == 4; }));
  EXPECT_EQ(AtServer(), 4u);
  new_->Tell(ControlMessage::kServe);
  // One more waits in the kernel until one of them leaves.
  clients_.push_back(std::make_unique<Client>(port_));
  TurnFor(milliseconds(50));
  EXPECT_EQ(new_->open(), 4u);
  clients_[0]->Close();
  EXPECT_TRUE(Until([&] { return new_->counters.connections_accepted.Get() == 1; }));
  EXPECT_EQ(AtServer(), 4u);
}

TEST_F(HandOverLimitsTest, AWorkerAtItsOwnLimitMakesRoomAndTheOtherTakesMore) {
  options_.worker_connections_max = 3;
  Start();
  for (int i = 0; i < 3; ++i) Ask(Connect(), "hello");
  EXPECT_EQ(HandOver(), 3u);
  EXPECT_TRUE(Until([&] { return adopted() == 3; }));
  EXPECT_EQ(new_->open(), 3u);
}

class DrainTest : public TwoWorkersTest {};

TEST_F(DrainTest, WhatStayedGoesOnAndTheWorkerLeavesWithTheLast) {
  options_.drain_timeout = std::chrono::seconds(60);
  Start();
  for (int i = 0; i < 3; ++i) Ask(Connect(), "hello");
  Say(*clients_[0], "stay");
  EXPECT_EQ(HandOver(), 2u);
  old_->Tell(ControlMessage::kRetire);
  TurnFor(milliseconds(700));
  EXPECT_FALSE(old_->stopped);
  EXPECT_EQ(LifeOf(0).drains, 0) << "it may still move";
  EXPECT_EQ(LifeOf(0).stops, 0);
  EXPECT_EQ(Ask(*clients_[0], "count"), "3\n");
  clients_[0]->Close();
  EXPECT_TRUE(Until([&] { return old_->stopped; }));
  EXPECT_EQ(old_->counters.drain_closed.Get(), 0u);
  EXPECT_EQ(new_->open(), 2u);
}

TEST_F(DrainTest, WhoCanMoveAfterAllStillMovesWhileItDrains) {
  Start();
  Say(Connect(), "stay");
  EXPECT_EQ(HandOver(), 0u);
  old_->Tell(ControlMessage::kRetire);
  TurnFor(milliseconds(50));
  clients_[0]->Send("go\n");
  EXPECT_TRUE(Until([&] { return old_->stopped; }));
  EXPECT_EQ(adopted(), 1u);
  EXPECT_EQ(Ask(*clients_[0], "count"), "3\n");
}

TEST_F(DrainTest, AtTheEndTheyAreToldOneAfterTheOther) {
  options_.drain_timeout = milliseconds(200);
  options_.drain_spread = milliseconds(600);
  constexpr int kCount = 60;
  Start();
  for (int i = 0; i < kCount; ++i) Say(Connect(), "stay");
  EXPECT_EQ(HandOver(), 0u);
  const auto begin = std::chrono::steady_clock::now();
  const TimePoint retired_at = old_->worker->now();
  old_->Tell(ControlMessage::kRetire);
  TurnFor(milliseconds(150));
  EXPECT_EQ(old_->counters.drain_closed.Get(), 0u);
  EXPECT_TRUE(Until([&] { return old_->stopped; }));
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(old_->counters.drain_closed.Get(), static_cast<uint64_t>(kCount));
  EXPECT_GE(took, milliseconds(450));
  std::vector<TimePoint> ends;
  for (const auto& [id, life] : lives_) {
    EXPECT_EQ(life.stops, 1);
    EXPECT_EQ(life.reason, CloseReason::kServerStopping);
    ends.push_back(life.ended_at - retired_at);
  }
  std::sort(ends.begin(), ends.end());
  EXPECT_GE(Duration(ends.front()), milliseconds(190));
  // A third of them has gone after a third of the time, at a slow machine's pace a half.
  EXPECT_GT(Duration(ends[kCount / 2] - ends.front()), milliseconds(150));
  EXPECT_GT(Duration(ends.back() - ends[kCount / 2]), milliseconds(150));
  for (auto& client : clients_) {
    EXPECT_TRUE(client->ended());
    EXPECT_FALSE(client->reset());
  }
}

TEST_F(DrainTest, RetiringWithoutAConnectionEndsAtOnce) {
  Start();
  Ask(Connect(), "hello");
  EXPECT_EQ(HandOver(), 1u);
  EXPECT_TRUE(UntilOldIsEmpty());
  old_->Tell(ControlMessage::kRetire);
  EXPECT_TRUE(Until([&] { return old_->stopped; }));
  EXPECT_EQ(Ask(*clients_[0], "count"), "2\n");
}

// What comes to a worker that is itself on its way out hears so, and goes on to the next.
TEST_F(DrainTest, ATakerThatRetiresTellsWhatComes) {
  Start();
  for (int i = 0; i < 3; ++i) Ask(Connect(), "hello");
  BeginHandOver();
  while (new_->open() == 0) Turn();
  new_->worker->Retire();
  EXPECT_TRUE(Until([&] { return adopted() == 3; }));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(LifeOf(i).drains, 1);
  for (auto& client : clients_) EXPECT_EQ(Ask(*client, "count"), "2\n");
}

}  // namespace
}  // namespace ringmaster
