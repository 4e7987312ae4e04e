#include "engine/base/log_budget.h"

#include "gtest/gtest.h"

namespace ringmaster {
namespace {

TEST(LogBudget, AdmitsTenLinesASecondAndCountsTheRest) {
  LogBudget budget;
  const TimePoint second = 1'000'000'000;
  uint64_t left_out = 0;
  int lines = 0;
  for (int i = 0; i < 50; ++i) lines += budget.Admit(second + i, left_out);
  EXPECT_EQ(lines, 10);
  EXPECT_TRUE(budget.Admit(2 * second + 1, left_out));
  EXPECT_EQ(left_out, 40u);
  EXPECT_TRUE(budget.Admit(2 * second + 2, left_out));
  EXPECT_EQ(left_out, 0u);
}

}  // namespace
}  // namespace ringmaster
