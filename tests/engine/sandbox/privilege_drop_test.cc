// The user that a worker becomes: for good, or not at all and with a reason.

#include "engine/sandbox/privilege_drop.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <thread>

#include "engine/sandbox/account.h"
#include "engine/sandbox/capabilities.h"
#include "engine/sandbox/sandbox_state.h"
#include "tests/engine/sandbox/in_child.h"

namespace ringmaster {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string Message(const absl::Status& status) {
  return status.ok() ? "ok" : std::string(status.message());
}

TEST(FindAccount, KnowsNamesAndNumbers) {
  for (const char* user : {"nobody", "65534"}) {
    const auto account = FindAccount(user, "");
    ASSERT_TRUE(account.ok()) << account.status();
    EXPECT_EQ((*account)->uid, 65534u);
    EXPECT_EQ((*account)->gid, 65534u);
    EXPECT_THAT((*account)->groups, ElementsAre(65534));
  }
  const auto account = FindAccount("nobody", "daemon");
  ASSERT_TRUE(account.ok()) << account.status();
  EXPECT_EQ((*account)->gid, *FindGroup("daemon"));
  EXPECT_THAT((*account)->groups, ElementsAre(*FindGroup("daemon")));
}

TEST(FindAccount, OfAUserWithoutEntryNeedsAGroup) {
  EXPECT_THAT(Message(FindAccount("54321", "").status()),
              AllOf(HasSubstr("54321"), HasSubstr("set group")));
  const auto account = FindAccount("54321", "54322");
  ASSERT_TRUE(account.ok()) << account.status();
  EXPECT_EQ((*account)->uid, 54321u);
  EXPECT_THAT((*account)->groups, ElementsAre(54322));
}

TEST(FindAccount, StaysWhenNothingIsSaid) {
  const auto account = FindAccount("", "");
  ASSERT_TRUE(account.ok());
  EXPECT_FALSE(account->has_value());
}

TEST(FindAccount, RefusesWhatIsNotThereAndRoot) {
  EXPECT_EQ(Message(FindAccount("no-such-user", "").status()),
            "there is no user \"no-such-user\" here");
  EXPECT_EQ(Message(FindAccount("nobody", "no-such-group").status()),
            "there is no group \"no-such-group\" here");
  EXPECT_THAT(Message(FindAccount("4294967295", "").status()), HasSubstr("no user"));
  EXPECT_THAT(Message(FindAccount("root", "").status()), HasSubstr("is root"));
  EXPECT_THAT(Message(FindAccount("0", "nogroup").status()), HasSubstr("is root"));
}

class PrivilegeDropTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  }
};

TEST_F(PrivilegeDropTest, LeavesNothing) {
  const std::string text = InChild([] {
    const absl::Status status = DropPrivileges("nobody", "");
    if (!status.ok()) return Message(status);
    const auto state = SandboxState::OfProcess(::getpid());
    if (!state) return std::string("no state");
    return fmt::format("{} {} {} {:x} {:x} {} again={}", state->uid, state->gid,
                       fmt::join(state->groups, ","), state->capabilities,
                       state->bounding_capabilities, state->no_new_privs,
                       ::setuid(0) == 0 || ::setgid(0) == 0);
  });
  EXPECT_EQ(text, "65534 65534 65534 0 0 true again=false");
}

TEST_F(PrivilegeDropTest, IsThatOfEveryThread) {
  EXPECT_EQ(InChild([] {
              std::string seen;
              std::atomic<bool> dropped = false;
              std::thread other([&] {
                dropped.wait(false);
                seen = fmt::format("{} {}", ::geteuid(), HasCapability(CAP_SETUID));
              });
              const absl::Status status = DropPrivileges("nobody", "");
              dropped = true;
              dropped.notify_one();
              other.join();
              return status.ok() ? seen : Message(status);
            }),
            "65534 false");
}

TEST_F(PrivilegeDropTest, TakesAwayWhatRootMayRead) {
  EXPECT_EQ(InChild([] {
              const absl::Status status = DropPrivileges("nobody", "nogroup");
              if (!status.ok()) return Message(status);
              const int fd = ::open("/etc/shadow", O_RDONLY);
              return fmt::format("{}", fd >= 0 ? 0 : errno);
            }),
            fmt::format("{}", EACCES));
}

// What stays behind when setuid is a system call of a library: the descriptors.
TEST_F(PrivilegeDropTest, KeepsWhatIsOpen) {
  EXPECT_EQ(InChild([] {
              const int fd = ::open("/etc/shadow", O_RDONLY);
              const absl::Status status = DropPrivileges("nobody", "");
              char byte;
              return status.ok() && ::read(fd, &byte, 1) == 1 ? std::string("read")
                                                              : Message(status);
            }),
            "read");
}

// As under systemd's User=: nothing to change, so no right to change it is needed.
TEST_F(PrivilegeDropTest, IsNoneForWhoIsThatUserAlready) {
  EXPECT_EQ(InChild([] {
              if (::setgid(65534) != 0 || ::setuid(65534) != 0) return std::string("setuid");
              if (const auto status = CheckPrivilegeDrop("nobody", ""); !status.ok()) {
                return Message(status);
              }
              const absl::Status status = DropPrivileges("nobody", "");
              return fmt::format("{} {}", Message(status),
                                 ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
            }),
            "ok 1");
}

TEST_F(PrivilegeDropTest, WithoutTheRightSaysWhoIsMissing) {
  const std::string text = InChild([] {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return std::string("setuid");
    return Message(CheckPrivilegeDrop("daemon", "")) + "\n" + Message(DropPrivileges("daemon", ""));
  });
  EXPECT_THAT(text, AllOf(HasSubstr("user daemon"), HasSubstr("uid 65534"), HasSubstr("root"),
                          HasSubstr("cannot become user daemon: setgroups")));
}

// Root in a container that took the capability away.
TEST_F(PrivilegeDropTest, OfARootWithoutCapabilitiesIsRefused) {
  const std::string text = InChild([] {
    if (const absl::Status status = ClearCapabilities(); !status.ok()) return Message(status);
    return Message(CheckPrivilegeDrop("nobody", ""));
  });
  EXPECT_THAT(text, AllOf(HasSubstr("uid 0"), HasSubstr("CAP_SETUID")));
}

TEST_F(PrivilegeDropTest, OfAGroupAloneIsNoneForRoot) {
  EXPECT_THAT(Message(CheckPrivilegeDrop("", "nogroup")), HasSubstr("set user, too"));
}

}  // namespace
}  // namespace ringmaster
