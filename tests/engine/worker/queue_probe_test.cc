#include "engine/worker/queue_probe.h"

#include "gtest/gtest.h"

#include "tests/engine/time_points.h"

namespace ringmaster {
namespace {

TEST(QueueProbe, AsksOnlyWhileBusyAndNotTooOften) {
  QueueProbe probe;
  EXPECT_FALSE(probe.WantsToAsk(At(100), /*busy=*/false));
  EXPECT_TRUE(probe.WantsToAsk(At(100), /*busy=*/true));
  probe.Asked(At(100));
  EXPECT_FALSE(probe.WantsToAsk(At(200), true)) << "one is on its way";
  probe.Answered(At(201));
  EXPECT_TRUE(probe.WantsToAsk(At(202), true));
  probe.Asked(At(202));
  probe.Answered(At(203));
  EXPECT_FALSE(probe.WantsToAsk(At(206), true));
  EXPECT_TRUE(probe.WantsToAsk(At(207), true));
}

// A wake-up sent before the read of it is armed again completes at once and measures nothing.
TEST(QueueProbe, DoesNotAskInTheTurnOfAnAnswer) {
  QueueProbe probe;
  probe.Asked(At(100));
  probe.Answered(At(150));
  EXPECT_FALSE(probe.WantsToAsk(At(150), true));
  EXPECT_TRUE(probe.WantsToAsk(At(151), true));
}

TEST(QueueProbe, IsLateUntilAnswered) {
  QueueProbe probe;
  EXPECT_FALSE(probe.Late(At(100)));
  probe.Asked(At(100));
  EXPECT_FALSE(probe.Late(At(109)));
  EXPECT_TRUE(probe.Late(At(110)));
  EXPECT_TRUE(probe.Late(At(500)));
  probe.Answered(At(500));
  EXPECT_FALSE(probe.Late(At(600)));
}

}  // namespace
}  // namespace ringmaster
