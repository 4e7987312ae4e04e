#include "engine/process/cpu_affinity.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ringmaster {
namespace {

TEST(CpuQuota, ReadsTheUnifiedHierarchy) {
  EXPECT_EQ(ParseCpuMax("150000 100000\n"), 1.5);
  EXPECT_EQ(ParseCpuMax("max 100000\n"), std::nullopt);
  EXPECT_EQ(ParseCpuMax(""), std::nullopt);
  EXPECT_EQ(ParseCpuMax("150000"), std::nullopt);
  EXPECT_EQ(ParseCpuMax("1 0"), std::nullopt);
}

TEST(CpuQuota, ReadsTheFirstHierarchies) {
  EXPECT_EQ(ParseCfsQuota("50000\n", "100000\n"), 0.5);
  EXPECT_EQ(ParseCfsQuota("-1\n", "100000\n"), std::nullopt);
  EXPECT_EQ(ParseCfsQuota("", ""), std::nullopt);
}

TEST(CpuQuota, FindsTheGroupOfTheController) {
  constexpr char kGroups[] =
      "9:name=systemd:/\n"
      "3:cpuset:/other\n"
      "1:cpu,cpuacct:/docker/17\n"
      "0::/user.slice/a:b\n";
  EXPECT_EQ(CgroupPath(kGroups, "cpu"), "/docker/17");
  EXPECT_EQ(CgroupPath(kGroups, ""), "/user.slice/a:b");
  EXPECT_EQ(CgroupPath("0::/\n", "cpu"), std::nullopt);
  EXPECT_EQ(CgroupPath("2:memory:/x\n", ""), std::nullopt);
  EXPECT_EQ(CgroupPath("not a line", "cpu"), std::nullopt);
}

TEST(WorkerCount, IsOnePerCpuWithinTheQuota) {
  EXPECT_EQ(DefaultWorkerCount(8, std::nullopt), 8u);
  EXPECT_EQ(DefaultWorkerCount(8, 1.5), 2u);
  EXPECT_EQ(DefaultWorkerCount(8, 0.2), 1u);
  EXPECT_EQ(DefaultWorkerCount(2, 16.0), 2u);
  EXPECT_EQ(DefaultWorkerCount(0, std::nullopt), 1u);
}

TEST(AllowedCpus, AreAtLeastOneAndAscending) {
  const std::vector<int> cpus = AllowedCpus();
  ASSERT_FALSE(cpus.empty());
  EXPECT_TRUE(std::is_sorted(cpus.begin(), cpus.end()));
}

}  // namespace
}  // namespace ringmaster
