#include "engine/process/worker_watch.h"

#include <gtest/gtest.h>

#include "engine/process/worker_restart_backoff.h"
#include "tests/engine/time_points.h"

namespace ringmaster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(WorkerWatch, LooksAboutOncePerSilence) {
  WorkerWatch watch(seconds(60));
  EXPECT_EQ(watch.deadline(), kNever);
  watch.Begin(100 * kSecond);
  EXPECT_EQ(watch.deadline(), 160 * kSecond);
  EXPECT_FALSE(watch.Silent(159 * kSecond, 160 * kSecond));
  EXPECT_EQ(watch.deadline(), 219 * kSecond);
}

TEST(WorkerWatch, BelievesSilenceOnlyWhenItIsFoundTwice) {
  WorkerWatch watch(seconds(60));
  watch.Begin(100 * kSecond);
  EXPECT_FALSE(watch.Silent(99 * kSecond, 160 * kSecond));
  EXPECT_EQ(watch.deadline(), 161 * kSecond);
  EXPECT_TRUE(watch.Silent(99 * kSecond, 161 * kSecond));
}

// Ctrl-Z stops master and workers; when all go on, the master may look first.
TEST(WorkerWatch, DoesNotTakeItsOwnSleepForAWorkersSilence) {
  WorkerWatch watch(seconds(60));
  watch.Begin(100 * kSecond);
  EXPECT_FALSE(watch.Silent(150 * kSecond, 5000 * kSecond));
  // Within the second, the worker has shown that it lives.
  EXPECT_FALSE(watch.Silent(5000 * kSecond + kSecond / 2, 5001 * kSecond));
  EXPECT_GT(watch.deadline(), 5001 * kSecond);
}

TEST(WorkerWatch, LeavesAWorkerAloneThatHasNoWatchdog) {
  WorkerWatch watch(seconds(60));
  watch.Begin(100 * kSecond);
  EXPECT_FALSE(watch.Silent(0, 160 * kSecond));
  EXPECT_EQ(watch.deadline(), kNever);
}

TEST(WorkerWatch, IsOffWithoutATimeoutAndNeverImpatient) {
  WorkerWatch off(Duration::zero());
  off.Begin(kSecond);
  EXPECT_EQ(off.deadline(), kNever);
  // A watchdog speaks once a second.
  WorkerWatch hasty(milliseconds(10));
  hasty.Begin(kSecond);
  EXPECT_EQ(hasty.deadline(), 2 * kSecond);
}

TEST(WorkerRestartBackoff, StartsAtOnceAfterAStallOfAWorkerThatHadServed) {
  WorkerRestartBackoff backoff;
  for (int i = 0; i < 5; ++i) backoff.AfterDeath(0, kSecond);
  EXPECT_EQ(backoff.AfterStall(0, 10 * kSecond), Duration::zero());
  EXPECT_EQ(backoff.AfterDeath(0, kSecond), milliseconds(100));
}

// It lived a minute, and did nothing in it: that is no health.
TEST(WorkerRestartBackoff, DoublesForStallsThatFollowEachOther) {
  WorkerRestartBackoff backoff;
  EXPECT_EQ(backoff.AfterStall(0, kSecond), milliseconds(100));
  EXPECT_EQ(backoff.AfterStall(60 * kSecond, 61 * kSecond), milliseconds(200));
  EXPECT_EQ(backoff.AfterStall(120 * kSecond, 121 * kSecond), milliseconds(400));
}

}  // namespace
}  // namespace ringmaster
