#include "engine/worker/timer_queue.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace ringmaster {
namespace {

using std::chrono::nanoseconds;

TEST(TimerQueue, RunsInTheOrderOfDeadlinesAndNotBeforeThem) {
  TimerQueue timers;
  std::string order;
  timers.Add(20, nanoseconds(0), [&] { order += "b"; });
  timers.Add(10, nanoseconds(0), [&] { order += "a"; });
  timers.Add(30, nanoseconds(0), [&] { order += "c"; });
  EXPECT_EQ(timers.NextDeadline(), 10);
  EXPECT_EQ(timers.Run(9), 0u);
  EXPECT_EQ(timers.Run(20), 2u);
  EXPECT_EQ(order, "ab");
  EXPECT_EQ(timers.NextDeadline(), 30);
  timers.Run(30);
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(timers.NextDeadline(), kNever);
  EXPECT_EQ(timers.size(), 0u);
}

TEST(TimerQueue, CancellingReleasesWhatTheCallbackHolds) {
  TimerQueue timers;
  auto held = std::make_shared<int>(1);
  const TimerId id = timers.Add(10, nanoseconds(0), [held] { FAIL(); });
  EXPECT_EQ(held.use_count(), 2);
  EXPECT_TRUE(timers.Cancel(id));
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_FALSE(timers.Cancel(id));
  EXPECT_EQ(timers.Run(100), 0u);
}

// A timer of hours for each of many short connections, all cancelled, was kept for those hours.
TEST(TimerQueue, MemoryFollowsTheTimersThatAreLeft) {
  TimerQueue timers;
  int ran = 0;
  const TimerId kept = timers.Add(5, nanoseconds(0), [&] { ++ran; });
  for (int i = 0; i < 100'000; ++i) {
    const TimerId id = timers.Add(1'000'000 - i, nanoseconds(0), [] { FAIL(); });
    ASSERT_TRUE(timers.Cancel(id));
    ASSERT_LT(timers.heap_size(), 100u);
  }
  EXPECT_EQ(timers.NextDeadline(), 5);
  EXPECT_EQ(timers.Run(2'000'000), 1u);
  EXPECT_EQ(ran, 1);
  EXPECT_FALSE(timers.Cancel(kept));
}

TEST(TimerQueue, ARepeatedTimerRunsOncePerRunAndMayCancelItself) {
  TimerQueue timers;
  int count = 0;
  TimerId id = 0;
  id = timers.Add(10, nanoseconds(5), [&] {
    if (++count == 3) timers.Cancel(id);
  });
  EXPECT_EQ(timers.Run(100), 1u);  // late by many periods: once, not nineteen times
  EXPECT_EQ(timers.NextDeadline(), 105);
  timers.Run(105);
  timers.Run(200);
  EXPECT_EQ(count, 3);
  EXPECT_EQ(timers.size(), 0u);
}

TEST(TimerQueue, ATimerAddedByACallbackWaitsForTheNextRun) {
  TimerQueue timers;
  int inner = 0;
  timers.Add(10, nanoseconds(0), [&] { timers.Add(0, nanoseconds(0), [&] { ++inner; }); });
  timers.Run(10);
  EXPECT_EQ(inner, 0);
  timers.Run(10);
  EXPECT_EQ(inner, 1);
}

// A cancelled timer used to leave its entry behind until its deadline: with a lifetime of hours and
// short connections, millions of them.
TEST(TimerQueue, CancelledTimersDoNotAddUp) {
  TimerQueue timers;
  int runs = 0;
  const TimerId kept = timers.Add(1'000'000, nanoseconds(0), [&] { ++runs; });
  for (int i = 0; i < 100'000; ++i) {
    timers.Cancel(timers.Add(1'000 + i, nanoseconds(0), [&] { ++runs; }));
    ASSERT_LE(timers.heap_size(), 200u);
  }
  EXPECT_EQ(timers.size(), 1u);
  EXPECT_EQ(timers.Run(999'999), 0u);
  EXPECT_EQ(timers.Run(1'000'000), 1u);
  EXPECT_FALSE(timers.Cancel(kept));
  EXPECT_EQ(runs, 1);
}

TEST(TimerQueue, RunsTheRestInOrderAfterManyWereCancelled) {
  TimerQueue timers;
  std::vector<int> order;
  std::vector<TimerId> ids;
  for (int i = 999; i >= 0; --i) {
    ids.push_back(timers.Add(i, nanoseconds(0), [&order, i] { order.push_back(i); }));
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i % 10 != 0) timers.Cancel(ids[i]);
  }
  EXPECT_EQ(timers.Run(1000), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(TimerQueue, ACallbackMayCancelAllOthers) {
  TimerQueue timers;
  std::vector<TimerId> ids;
  int runs = 0;
  timers.Add(1, nanoseconds(0), [&] {
    for (const TimerId id : ids) timers.Cancel(id);
  });
  for (int i = 0; i < 500; ++i) ids.push_back(timers.Add(2, nanoseconds(0), [&] { ++runs; }));
  timers.Run(10);
  EXPECT_EQ(runs, 0);
  EXPECT_EQ(timers.size(), 0u);
}

}  // namespace
}  // namespace ringmaster
