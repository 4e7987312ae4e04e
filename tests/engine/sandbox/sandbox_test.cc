// What a worker does with what the kernel can and cannot give it.

#include "engine/sandbox/sandbox.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <string>

#include "engine/base/log.h"
#include "engine/sandbox/sandbox_state.h"
#include "engine/sandbox/system_call_filter.h"
#include "tests/engine/sandbox/in_child.h"

namespace ringmaster {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string Outcome(const absl::Status& status) {
  return status.ok() ? "ok" : std::string(status.message());
}

// From here on this process's kernel has no seccomp(2), as under a container that hides it.
void HideSeccomp() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {static_cast<unsigned short>(std::size(code)), code};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

// The result of EnterSandbox and what it logged.
std::string Enter(const ServerOptions& options, bool ring_restricted, bool seccomp = true,
                  bool say = true) {
  const std::string path = fmt::format("{}/sandbox_test.{}.log", testing::TempDir(), ::getpid());
  std::string text = InChild([&] {
    if (!log::Setup("info", "text", path, "worker 0").ok()) return std::string("no log");
    if (!seccomp) HideSeccomp();
    return Outcome(EnterSandbox(options, ring_restricted, say)) + "\n";
  });
  std::ifstream file(path);
  text.append(std::istreambuf_iterator<char>(file), {});
  ::unlink(path.c_str());
  return text;
}

TEST(EnterSandbox, SaysWhatHolds) {
  ServerOptions options;
  EXPECT_THAT(Enter(options, true),
              AllOf(testing::StartsWith("ok\n"), HasSubstr("sandbox on: user "),
                    HasSubstr("no_new_privs, system calls filtered, ring restricted")));
  EXPECT_EQ(Enter(options, true, true, /*say=*/false), "ok\n");
}

TEST(EnterSandbox, DoesNothingWhenItIsOff) {
  ServerOptions options;
  options.sandbox = SandboxMode::kOff;
  EXPECT_THAT(Enter(options, false),
              AllOf(HasSubstr("sandbox off: "), HasSubstr("system calls not filtered"),
                    HasSubstr("ring not restricted"), Not(HasSubstr("warning"))));
}

TEST(EnterSandbox, GoesOnWithoutSeccompAndWarns) {
  ServerOptions options;
  EXPECT_THAT(Enter(options, true, /*seccomp=*/false),
              AllOf(testing::StartsWith("ok\n"), HasSubstr("warn"),
                    HasSubstr("incomplete: this kernel has no seccomp filters")));
}

TEST(EnterSandbox, ThatIsRequiredFailsWhereSomethingIsMissing) {
  ServerOptions options;
  options.sandbox = SandboxMode::kRequired;
  EXPECT_THAT(Enter(options, true), testing::StartsWith("ok\n"));
  EXPECT_THAT(Enter(options, true, /*seccomp=*/false), HasSubstr("no seccomp filters"));
  EXPECT_THAT(Enter(options, /*ring_restricted=*/false), HasSubstr("does not restrict the ring"));
}

TEST(CheckSandbox, RefusesWhatCannotWork) {
  ServerOptions options;
  EXPECT_TRUE(CheckSandbox(options).ok());
  options.sandbox_allow = {"ptrace", "read"};
  EXPECT_THAT(Outcome(CheckSandbox(options)), HasSubstr("no system call \"read\""));
  options.sandbox_allow.clear();
  options.user = "no-such-user";
  EXPECT_THAT(Outcome(CheckSandbox(options)), HasSubstr("no-such-user"));
  options.user.clear();
  options.sandbox = SandboxMode::kRequired;
  EXPECT_TRUE(CheckSandbox(options).ok());
  EXPECT_THAT(InChild([&] {
                HideSeccomp();
                return Outcome(CheckSandbox(options));
              }),
              HasSubstr("\"required\", but this kernel has no seccomp filters"));
}

}  // namespace
}  // namespace ringmaster
