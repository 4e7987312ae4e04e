#include "engine/worker/queue_time_gate.h"

#include <gtest/gtest.h>

#include <deque>

#include "tests/engine/time_points.h"

namespace ringmaster {
namespace {

using std::chrono::milliseconds;
using Verdict = QueueTimeGate::Verdict;

constexpr Duration kMax = milliseconds(500);
constexpr uint32_t kBacklog = 4096;

TEST(QueueTimeGate, StaysOpenWhileFirstBytesAreDeliveredPromptly) {
  QueueTimeGate gate(kMax, kBacklog);
  for (int64_t ms = 0; ms < 10'000; ++ms) {
    EXPECT_EQ(gate.OnFirstDelivery(At(ms), milliseconds(62)), Verdict::kServe);
    gate.OnTurn(At(ms), false);
    ASSERT_FALSE(gate.closed());
  }
  EXPECT_EQ(gate.backlog(), kBacklog);
}

TEST(QueueTimeGate, MeasuresOneInEightUntilThereIsOverload) {
  QueueTimeGate gate(kMax, kBacklog);
  int samples = 0;
  for (int i = 0; i < 80; ++i) samples += gate.WantsSample() ? 1 : 0;
  EXPECT_EQ(samples, 10);
  gate.OnFirstDelivery(At(0), milliseconds(63));
  for (int i = 0; i < 80; ++i) EXPECT_TRUE(gate.WantsSample());
}

TEST(QueueTimeGate, ClosesWhenTheyWaitAndOpensWhenTheWorkerHasNothingToDo) {
  QueueTimeGate gate(kMax, kBacklog);
  gate.OnFirstDelivery(At(0), milliseconds(63));
  EXPECT_TRUE(gate.closed());
  gate.OnTurn(At(1), /*idle=*/false);
  EXPECT_TRUE(gate.closed());
  gate.OnTurn(At(2), /*idle=*/true);
  EXPECT_FALSE(gate.closed());
  EXPECT_TRUE(gate.overloaded());
}

TEST(QueueTimeGate, OpensAfterAWhileAlthoughOthersKeepTheWorkerBusy) {
  QueueTimeGate gate(kMax, kBacklog);
  gate.OnFirstDelivery(At(0), milliseconds(63));
  gate.OnTurn(At(199), /*idle=*/false);
  EXPECT_TRUE(gate.closed());
  gate.OnTurn(At(200), /*idle=*/false);
  EXPECT_FALSE(gate.closed());
}

TEST(QueueTimeGate, ShortensTheQueueToWhatIsServedInAFifthOfTheBound) {
  QueueTimeGate gate(kMax, kBacklog);
  gate.OnFirstDelivery(At(0), milliseconds(100));
  for (int i = 0; i < 600; ++i) gate.OnFirstDelivery(At(100), milliseconds(100));
  gate.OnTurn(At(150), true);  // 600 in 150 ms: 400 in 100 ms
  EXPECT_EQ(gate.backlog(), 400u);
  gate.OnFirstDelivery(At(160), milliseconds(100));
  gate.OnTurn(At(250), true);
  EXPECT_EQ(gate.backlog(), QueueTimeGate::kBacklogMin);
}

TEST(QueueTimeGate, RefusesWhoHasWaitedTooLongAmongMany) {
  QueueTimeGate gate(kMax, kBacklog);
  for (uint32_t i = 0; i < QueueTimeGate::kBacklogMin; ++i) {
    EXPECT_EQ(gate.OnFirstDelivery(At(0), milliseconds(100)), Verdict::kServe);
  }
  EXPECT_EQ(gate.OnFirstDelivery(At(0), milliseconds(1000)), Verdict::kServe);
  EXPECT_EQ(gate.OnFirstDelivery(At(0), milliseconds(1001)), Verdict::kRefuse);
}

// Others keep the worker busy: an unread echo flood had health checks refused that came alone.
TEST(QueueTimeGate, ServesTheFewThatComeWhileOthersKeepTheWorkerBusy) {
  QueueTimeGate gate(kMax, kBacklog);
  for (int64_t ms = 0; ms < 10'000; ms += 50) {
    EXPECT_EQ(gate.OnFirstDelivery(At(ms), milliseconds(1500)), Verdict::kServe);
    gate.OnTurn(At(ms + 40), /*idle=*/false);
  }
}

TEST(QueueTimeGate, ForgetsTheOverloadAfterACalmSecond) {
  QueueTimeGate gate(kMax, kBacklog);
  gate.OnFirstDelivery(At(0), milliseconds(63));
  gate.OnTurn(At(10), true);
  EXPECT_LT(gate.backlog(), kBacklog);
  gate.OnTurn(At(999), true);
  EXPECT_TRUE(gate.overloaded());
  gate.OnTurn(At(1000), true);
  EXPECT_FALSE(gate.overloaded());
  EXPECT_EQ(gate.backlog(), kBacklog);
}

TEST(QueueTimeGate, ZeroTurnsItOff) {
  QueueTimeGate gate(Duration::zero(), kBacklog);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(gate.WantsSample());
  gate.OnTurn(At(1), false);
  EXPECT_FALSE(gate.closed());
}

// A worker that serves 5,000 a second, 10,000 come a second, the kernel's queue as the gate says.
// Everything served must have been served within the bound, and the worker must not run dry.
TEST(QueueTimeGate, AtTwiceTheCapacityNearlyAllWorkIsInTime) {
  QueueTimeGate gate(kMax, kBacklog);
  std::deque<int64_t> kernel;  // arrival of those not accepted, in us
  std::deque<int64_t> accepted;
  int64_t in_time = 0;
  int64_t idle_us = 0;
  constexpr int64_t kService = 200;
  constexpr int64_t kSeconds = 20;
  int64_t next_arrival = 0;
  int64_t now = 0;
  while (now < kSeconds * 1'000'000) {
    for (; next_arrival <= now; next_arrival += 100) {
      if (kernel.size() < gate.backlog()) kernel.push_back(next_arrival);
      if (!gate.closed()) {
        accepted.insert(accepted.end(), kernel.begin(), kernel.end());
        kernel.clear();
      }
    }
    const bool idle = accepted.empty();
    if (idle) {
      now += 10;
      idle_us += 10;
    } else {
      const int64_t waited = now - accepted.front();
      accepted.pop_front();
      if (gate.OnFirstDelivery(now * 1000, std::chrono::microseconds(waited)) == Verdict::kServe) {
        now += kService;
        in_time += waited < 1'000'000 ? 1 : 0;
      } else {
        now += 40;
      }
    }
    const bool was_closed = gate.closed();
    gate.OnTurn(now * 1000, idle);
    if (was_closed && !gate.closed()) {
      accepted.insert(accepted.end(), kernel.begin(), kernel.end());
      kernel.clear();
    }
  }
  EXPECT_GT(in_time, kSeconds * 5000 * 95 / 100);
  EXPECT_LT(idle_us, kSeconds * 1'000'000 / 50);
}

}  // namespace
}  // namespace ringmaster
