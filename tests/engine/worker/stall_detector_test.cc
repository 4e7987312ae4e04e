#include "engine/worker/stall_detector.h"

#include <gtest/gtest.h>

namespace ringmaster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kMs = 1'000'000;
constexpr TimePoint kStart = 1000 * kMs;

TEST(StallDetector, SaysNothingOfTurnsThatEndInTime) {
  StallDetector detector(seconds(1), seconds(60));
  for (TimePoint now = kStart; now < kStart + 5000 * kMs; now += 500 * kMs) {
    const StallDetector::Verdict verdict = detector.Look(now - 10 * kMs, now, {});
    EXPECT_FALSE(verdict.stalled || verdict.stuck || verdict.ended);
  }
}

TEST(StallDetector, LooksAgainExactlyWhenTheTurnIsDue) {
  StallDetector detector(seconds(1), Duration::zero());
  EXPECT_EQ(detector.Look(0, kStart, {}).pause, seconds(1));
  // The turn began 300 ms ago.
  EXPECT_EQ(detector.Look(kStart, kStart + 300 * kMs, {}).pause, milliseconds(700));
  const StallDetector::Verdict due = detector.Look(kStart, kStart + 1000 * kMs, {});
  EXPECT_TRUE(due.stalled);
  EXPECT_EQ(due.lasted, seconds(1));
}

TEST(StallDetector, ReportsATurnOnceAndThenItsEnd) {
  StallDetector detector(seconds(1), Duration::zero());
  EXPECT_TRUE(detector.Look(kStart, kStart + 1100 * kMs, {}).stalled);
  const StallDetector::Verdict later = detector.Look(kStart, kStart + 1200 * kMs, {});
  EXPECT_FALSE(later.stalled);
  EXPECT_LE(later.pause, milliseconds(100));
  const StallDetector::Verdict ended = detector.Look(0, kStart + 3000 * kMs, {});
  EXPECT_TRUE(ended.ended);
  EXPECT_EQ(ended.lasted, seconds(3));
  EXPECT_FALSE(detector.Look(0, kStart + 3100 * kMs, {}).ended);
}

TEST(StallDetector, TellsTwoStalledTurnsInARowApart) {
  StallDetector detector(seconds(1), Duration::zero());
  EXPECT_TRUE(detector.Look(kStart, kStart + 1000 * kMs, {}).stalled);
  // The next turn was not seen to begin.
  const StallDetector::Verdict next = detector.Look(kStart + 1500 * kMs, kStart + 2600 * kMs, {});
  EXPECT_TRUE(next.ended);
  EXPECT_TRUE(next.stalled);
}

TEST(StallDetector, RepeatsThatItIsStuckUntilTheMasterKnows) {
  StallDetector detector(seconds(1), seconds(10));
  EXPECT_FALSE(detector.Look(kStart, kStart + 9999 * kMs, {}).stuck);
  EXPECT_TRUE(detector.Look(kStart, kStart + 10'000 * kMs, {}).stuck);
  EXPECT_TRUE(detector.Look(kStart, kStart + 10'100 * kMs, {}).stuck);
  detector.ToldStuck();
  EXPECT_FALSE(detector.Look(kStart, kStart + 10'200 * kMs, {}).stuck);
}

TEST(StallDetector, EachHalfWorksAlone) {
  StallDetector reports(seconds(1), Duration::zero());
  EXPECT_FALSE(reports.Look(kStart, kStart + 3'600'000 * kMs, {}).stuck);
  StallDetector replaces(Duration::zero(), seconds(1));
  const StallDetector::Verdict verdict = replaces.Look(kStart, kStart + 1000 * kMs, {});
  EXPECT_FALSE(verdict.stalled);
  EXPECT_TRUE(verdict.stuck);
}

// A worker that was stopped by SIGSTOP for an hour, in the middle of a turn of a millisecond, used
// to be reported, and replaced, as soon as it went on.
TEST(StallDetector, DoesNotCountTimeInWhichTheProcessWasStopped) {
  StallDetector detector(seconds(1), seconds(60));
  detector.Look(kStart, kStart + kMs, {});
  const TimePoint resumed = kStart + 3'600'000 * kMs;
  StallDetector::Verdict verdict = detector.Look(kStart, resumed, Duration(resumed - kStart - kMs));
  EXPECT_FALSE(verdict.stalled || verdict.stuck);
  // What it holds the loop from then on counts.
  verdict = detector.Look(kStart, resumed + 1000 * kMs, {});
  EXPECT_TRUE(verdict.stalled);
  EXPECT_FALSE(verdict.stuck);
}

TEST(StallDetector, ATurnThatBeganBehindAStopIsMeasuredFromItsBegin) {
  StallDetector detector(seconds(1), Duration::zero());
  detector.Look(0, kStart, {});
  const TimePoint resumed = kStart + 3'600'000 * kMs;
  detector.Look(resumed, resumed + kMs, Duration(resumed - kStart));
  EXPECT_TRUE(detector.Look(resumed, resumed + 1001 * kMs, {}).stalled);
}

TEST(StallDetector, ShowsThatItLivesOftenEnoughForTheMaster) {
  // Whoever watches the watchdog expects a sign of life once a second, and well within the time
  // after which silence counts.
  StallDetector slow(seconds(30), seconds(60));
  EXPECT_LE(slow.Look(0, kStart, {}).pause, StallDetector::kPauseMax);
  StallDetector fast(milliseconds(100), milliseconds(200));
  EXPECT_LE(fast.Look(0, kStart, {}).pause, milliseconds(100));
}

}  // namespace
}  // namespace ringmaster
