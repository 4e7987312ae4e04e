#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/handoff/two_workers.h"
#include "tests/engine/line_protocol.h"

// What happens to connections while their batch is between the two workers.

namespace ringmaster {
namespace {

class WhileItIsUnderWay : public TwoWorkersTest {};

// Posted, so that it runs while the answer is on its way: the old worker goes on meanwhile.
class WhileABatchIsUnderWay : public TwoWorkersTest {
 protected:
  void SetUp() override {
    Start();
    for (int i = 0; i < 3; ++i) Ask(Connect(), "hello");
    BeginHandOver();
    // The batch is sent when all stand still, a turn or two after they were told.
    for (int i = 0; i < 50; ++i) old_->Turn();
    ASSERT_EQ(LifeOf(0).handoffs, 1);
  }
  Connection& OldConnection(size_t index) { return *old_->worker->Find(IdOf(index)); }
};

TEST_F(WhileABatchIsUnderWay, WhatIsSentOfOwnAccordIsNotLost) {
  EXPECT_EQ(OldConnection(1).Send("from afar\n"), SendResult::kQueued);
  for (int i = 0; i < 10; ++i) new_->Turn();
  EXPECT_TRUE(Until([&] { return clients_[1]->got() == "from afar\n"; }));
  EXPECT_TRUE(UntilOldIsEmpty()) << "it moves the next time";
  EXPECT_EQ(adopted(), 3u);
  EXPECT_EQ(new_->counters.adoptions_refused.Get(), 0u);
  for (auto& client : clients_) {
    client->Take();
    EXPECT_EQ(Ask(*client, "count"), "2\n");
  }
}

TEST_F(WhileABatchIsUnderWay, WhoIsAbortedIsGone) {
  OldConnection(1).Abort(CloseReason::kLocal);
  old_->Turn();
  EXPECT_TRUE(UntilOldIsEmpty());
  EXPECT_TRUE(Until([&] { return clients_[1]->ended(); }));
  EXPECT_EQ(LifeOf(1).closed, 1);
  EXPECT_EQ(LifeOf(1).adopted, 0);
  EXPECT_EQ(adopted(), 2u);
  EXPECT_EQ(new_->open(), 2u);
}

TEST_F(WhileABatchIsUnderWay, WhoIsKilledIsGone) {
  EXPECT_TRUE(old_->worker->Kill(IdOf(0)));
  EXPECT_TRUE(UntilOldIsEmpty());
  EXPECT_TRUE(Until([&] { return clients_[0]->ended(); }));
  EXPECT_EQ(LifeOf(0).reason, CloseReason::kKilled);
  EXPECT_EQ(adopted(), 2u);
}

TEST_F(WhileABatchIsUnderWay, WhoIsClosedSaysItsGoodbye) {
  OldConnection(2).Send("goodbye\n");
  OldConnection(2).CloseAfterFlush(CloseReason::kLocal, Linger::kYes);
  EXPECT_TRUE(Until([&] { return clients_[2]->ended(); }));
  EXPECT_EQ(clients_[2]->got(), "goodbye\n");
  EXPECT_FALSE(clients_[2]->reset());
  clients_[2]->Close();
  EXPECT_TRUE(Until([&] { return LifeOf(2).closed == 1; }));
}

TEST_F(WhileABatchIsUnderWay, AStopKeepsThemHereAndTellsThem) {
  old_->worker->Stop();
  EXPECT_TRUE(Until([&] { return old_->stopped; }));
  EXPECT_EQ(adopted(), 0u);
  EXPECT_EQ(new_->open(), 0u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(LifeOf(i).reason, CloseReason::kServerStopping);
    EXPECT_TRUE(clients_[i]->ended());
    EXPECT_FALSE(clients_[i]->reset());
  }
}

TEST_F(WhileABatchIsUnderWay, AForcedStopEndsThemOnce) {
  // The taker has them in its hands already.
  for (int i = 0; i < 10; ++i) new_->Turn();
  EXPECT_EQ(new_->open(), 3u);
  old_->worker->StopNow();
  EXPECT_TRUE(Until([&] { return old_->stopped && new_->open() == 0; }));
  EXPECT_EQ(adopted(), 0u);
}

TEST_F(WhileABatchIsUnderWay, ATakerThatStopsTellsThemWhenTheyAreIts) {
  for (int i = 0; i < 10; ++i) new_->Turn();
  EXPECT_EQ(new_->open(), 3u);
  new_->worker->Stop();
  for (int i = 0; i < 10; ++i) new_->Turn();
  EXPECT_FALSE(new_->stopped) << "the giver has not decided yet";
  EXPECT_EQ(LifeOf(0).stops, 0);
  EXPECT_TRUE(Until([&] { return new_->stopped; }));
  EXPECT_EQ(adopted(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(LifeOf(i).stops, 1);
    EXPECT_FALSE(clients_[i]->reset());
  }
}

TEST_F(WhileABatchIsUnderWay, ATakerThatIsStoppedByForceLeavesThemHere) {
  for (int i = 0; i < 10; ++i) new_->Turn();
  new_->worker->StopNow();
  EXPECT_TRUE(Until([&] { return new_->stopped; }));
  new_->worker.reset();  // its process ends, and so does the channel
  TurnTimes(20);
  EXPECT_EQ(old_->open(), 3u);
  for (auto& client : clients_) EXPECT_EQ(Ask(*client, "count"), "2\n");
  new_->stopped = true;
  // TearDown asks it.
  StopBoth();
  new_ = std::make_unique<Side>(1, lives_);
  new_->Start(listener_, listening_fd_.get(), options_, nullptr, true);
}

TEST_F(WhileABatchIsUnderWay, NothingElseOfTheTakerTouchesThem) {
  for (int i = 0; i < 10; ++i) new_->Turn();
  ASSERT_EQ(new_->open(), 3u);
  new_->worker->Find(IdOf(0))->Abort(CloseReason::kLocal);
  EXPECT_EQ(new_->worker->Find(IdOf(0))->Send("x"), SendResult::kClosed);
  EXPECT_TRUE(UntilOldIsEmpty());
  for (auto& client : clients_) EXPECT_EQ(Ask(*client, "count"), "2\n");
}

TEST_F(WhileItIsUnderWay, ATakerThatNeverAnswersHoldsNobodyForLong) {
  Start();
  Client& client = Connect();
  const UniqueFd silent = TakeFromOld();
  TurnTimes(20);
  client.Send("anybody?\n");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(Until([&] { return client.got() == "anybody?\n"; }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(6));
  EXPECT_EQ(old_->open(), 1u);
}

TEST_F(WhileItIsUnderWay, AHandlerThatThrowsWhenItIsSavedCostsItsConnection) {
  Start();
  for (int i = 0; i < 3; ++i) Say(Connect(), "hello");
  old_->protocol.on_save = [&](Connection& connection) {
    if (connection.id() == IdOf(1)) throw std::runtime_error("on purpose");
  };
  HandOver();
  EXPECT_TRUE(Until([&] { return clients_[1]->ended(); }));
  clients_[1]->Close();
  EXPECT_TRUE(UntilOldIsEmpty());
  EXPECT_EQ(LifeOf(1).reason, CloseReason::kHandlerError);
  EXPECT_EQ(adopted(), 2u);
}

TEST_F(WhileItIsUnderWay, HandlersMayWriteAndCloseWhenTheyAreTold) {
  Start();
  for (int i = 0; i < 4; ++i) Ask(Connect(), "hello");
  old_->protocol.on_handoff = [&](Connection& connection) {
    connection.Send("moving\n");
    if (connection.id() == IdOf(2)) connection.Abort(CloseReason::kLocal);
    if (connection.id() == IdOf(3)) throw std::runtime_error("on purpose");
  };
  new_->protocol.on_adopted = [&](Connection& connection) {
    connection.Send("moved\n");
    if (connection.id() == IdOf(1)) connection.CloseAfterFlush(CloseReason::kLocal);
  };
  HandOver();
  EXPECT_TRUE(Until([&] { return clients_[0]->got() == "moving\nmoved\n"; }));
  EXPECT_TRUE(Until([&] { return clients_[1]->ended(); }));
  EXPECT_EQ(clients_[1]->got(), "moving\nmoved\n");
  EXPECT_TRUE(Until([&] { return clients_[2]->ended() && clients_[3]->ended(); }));
  for (auto& client : clients_) client->Close();
  EXPECT_TRUE(UntilOldIsEmpty());
}

}  // namespace
}  // namespace ringmaster
