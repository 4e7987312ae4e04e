#include "engine/sandbox/sandbox_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace ringmaster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Seccomp = SandboxState::Seccomp;

constexpr std::string_view kDropped =
    "Name:\tringmaster\nUmask:\t0022\nUid:\t0\t33\t33\t33\nGid:\t0\t34\t34\t34\nFDSize:\t64\n"
    "Groups:\t4 34 1000 \nCapInh:\t0000000000000000\nCapPrm:\t0000000000000001\n"
    "CapEff:\t0000000000000400\nCapBnd:\t000001fffeffffff\nCapAmb:\t0000000000000000\n"
    "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

TEST(SandboxState, IsReadFromProcStatus) {
  const auto state = SandboxState::Parse(kDropped);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->uid, 33u);
  EXPECT_EQ(state->gid, 34u);
  EXPECT_THAT(state->groups, ElementsAre(4, 34, 1000));
  EXPECT_EQ(state->capabilities, 0x400u);
  EXPECT_EQ(state->bounding_capabilities, 0x1fffeffffffu);
  EXPECT_TRUE(state->no_new_privs);
  EXPECT_EQ(state->seccomp, Seccomp::kFilter);
  EXPECT_EQ(state->Describe(),
            "user 33, group 34 (4, 34, 1000), capabilities 0x400, no_new_privs, system calls "
            "filtered");
}

TEST(SandboxState, OfAKernelWithoutSeccompSaysSo) {
  const auto state =
      SandboxState::Parse("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t\nNoNewPrivs:\t0\n");
  ASSERT_TRUE(state);
  EXPECT_THAT(state->groups, IsEmpty());
  EXPECT_FALSE(state->no_new_privs);
  EXPECT_EQ(state->seccomp, std::nullopt);
  EXPECT_EQ(SeccompName(state->seccomp), "none");
  EXPECT_EQ(state->Describe(), "user 0, group 0, no capabilities, system calls not filtered");
}

TEST(SandboxState, IsNothingForWhatIsNoStatus) {
  EXPECT_EQ(SandboxState::Parse(""), std::nullopt);
  EXPECT_EQ(SandboxState::Parse("Uid"), std::nullopt);
  EXPECT_EQ(SandboxState::Parse("Uid:\nGid:\n"), std::nullopt);
  EXPECT_EQ(SandboxState::Parse("Uid:\t0\tx\nGid:\t0\t0\n"), std::nullopt);
  EXPECT_EQ(SandboxState::OfProcess(0), std::nullopt);
  EXPECT_EQ(SandboxState::OfProcess(-1), std::nullopt);
}

TEST(SandboxState, SurvivesAFileCutAnywhere) {
  for (size_t bytes = 0; bytes < kDropped.size(); ++bytes) {
    const auto state = SandboxState::Parse(kDropped.substr(0, bytes));
    EXPECT_TRUE(!state || state->uid == 33) << bytes;
  }
}

TEST(SandboxState, OfThisProcessIsWhatTheKernelSays) {
  const auto state = SandboxState::OfProcess(::getpid());
  ASSERT_TRUE(state);
  EXPECT_EQ(state->uid, ::geteuid());
  EXPECT_EQ(state->gid, ::getegid());
  EXPECT_EQ(state->groups.size(), static_cast<size_t>(::getgroups(0, nullptr)));
}

}  // namespace
}  // namespace ringmaster
