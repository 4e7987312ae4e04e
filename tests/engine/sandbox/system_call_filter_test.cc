// What a filtered process is refused, and what it must still be able to do.

#include "engine/sandbox/system_call_filter.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/sandbox/refused_calls.h"
#include "engine/sandbox/sandbox_state.h"
#include "tests/engine/sandbox/in_child.h"

namespace ringmaster {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

// The errno of `call` in a process with the filter; 0 = it was carried out, -1 = no filter.
int Filtered(const std::function<long()>& call, const std::vector<std::string>& allowed = {}) {
  return std::stoi(InChild([&] {
    if (const absl::Status status = InstallSystemCallFilter(allowed); !status.ok()) {
      return std::string("-1");
    }
    errno = 0;
    return std::to_string(call() == -1 ? errno : 0);
  }));
}

template <typename... Arguments>
std::function<long()> Call(long number, Arguments... arguments) {
  return [=] { return ::syscall(number, arguments...); };
}

// Every call of the list that is refused whatever its arguments are. With arguments that make none
// of them harmful: where the filter is missing, the answer is another error.
TEST(SystemCallFilter, RefusesWhatNoWorkerNeeds) {
  const std::vector<std::pair<const char*, long>> calls = {
      {"process_vm_readv", SYS_process_vm_readv},
      {"process_vm_writev", SYS_process_vm_writev},
      {"pidfd_send_signal", SYS_pidfd_send_signal},
      {"mount", SYS_mount},
      {"umount2", SYS_umount2},
      {"pivot_root", SYS_pivot_root},
      {"chroot", SYS_chroot},
      {"open_by_handle_at", SYS_open_by_handle_at},
      {"setns", SYS_setns},
      {"io_uring_setup", SYS_io_uring_setup},
      {"bpf", SYS_bpf},
      {"perf_event_open", SYS_perf_event_open},
      {"add_key", SYS_add_key},
      {"request_key", SYS_request_key},
      {"init_module", SYS_init_module},
      {"finit_module", SYS_finit_module},
      {"delete_module", SYS_delete_module},
      {"kexec_load", SYS_kexec_load},
      {"swapon", SYS_swapon},
      {"acct", SYS_acct},
      {"quotactl", SYS_quotactl},
      {"capset", SYS_capset},
  };
  for (const auto& [name, number] : calls) {
    EXPECT_EQ(Filtered(Call(number, -1L, -1L, -1L, -1L, -1L, -1L)), EPERM) << name;
  }
}

TEST(SystemCallFilter, RefusesAnotherProgram) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's report runs its symbolizer";
  EXPECT_EQ(Filtered([] { return ::execl("/bin/true", "true", nullptr); }), EPERM);
  EXPECT_EQ(Filtered(Call(SYS_execveat, AT_FDCWD, "/bin/true", 0L, 0L, 0L)), EPERM);
  EXPECT_EQ(Filtered([] {
              const std::string name = "true";
              std::string word = name;
              char* const arguments[] = {word.data(), nullptr};
              pid_t pid = 0;
              errno = ::posix_spawn(&pid, "/bin/true", nullptr, nullptr, arguments, nullptr);
              return errno == 0 ? 0 : -1;
            }),
            EPERM);
  EXPECT_EQ(Filtered([] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }), EPERM);
}

TEST(SystemCallFilter, RefusesAnotherIdentity) {
  EXPECT_EQ(Filtered([] { return ::setuid(::getuid()); }), EPERM);
  EXPECT_EQ(Filtered([] { return ::setresgid(65534, 65534, 65534); }), EPERM);
  EXPECT_EQ(Filtered(Call(SYS_setgroups, 0, nullptr)), EPERM);
}

TEST(SystemCallFilter, RefusesNamespacesAndKeepsProcessesAndThreads) {
  EXPECT_EQ(Filtered([] { return ::unshare(CLONE_NEWUSER); }), EPERM);
  for (const int flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC,
                         CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    EXPECT_EQ(Filtered([flag] {
                const long pid = ::syscall(SYS_clone, flag | SIGCHLD, 0, 0, 0, 0);
                if (pid == 0) ::_exit(0);
                return pid;
              }),
              EPERM)
        << flag;
  }
  EXPECT_EQ(Filtered(Call(SYS_clone3, 0L, 0L)), ENOSYS);
  EXPECT_EQ(Filtered([] {
              bool ran = false;
              std::thread([&] { ran = true; }).join();
              return ran ? 0 : -1;
            }),
            0);
  EXPECT_EQ(Filtered([] {
              const pid_t child = ::fork();
              if (child == 0) ::_exit(7);
              int status = 0;
              ::waitpid(child, &status, 0);
              return WEXITSTATUS(status) == 7 ? 0 : -1;
            }),
            0);
}

TEST(SystemCallFilter, AdmitsSignalsToThisProcessOnly) {
  const pid_t parent = ::getpid();
  EXPECT_EQ(Filtered([parent] { return ::kill(parent, 0); }), EPERM);
  EXPECT_EQ(Filtered([] { return ::kill(0, 0); }), EPERM);
  EXPECT_EQ(Filtered([] { return ::kill(-1, 0); }), EPERM);
  EXPECT_EQ(Filtered(Call(SYS_tgkill, parent, parent, 0)), EPERM);
  EXPECT_EQ(Filtered(Call(SYS_tkill, parent, 0)), EPERM);
  EXPECT_EQ(Filtered([parent] { return ::sigqueue(parent, 0, {}); }), EPERM);
  EXPECT_EQ(Filtered([] { return ::kill(::getpid(), 0); }), 0);
  EXPECT_EQ(Filtered([] {
              ::signal(SIGUSR1, [](int) {});
              errno = ::pthread_sigqueue(::pthread_self(), SIGUSR1, {});
              return errno == 0 && ::raise(SIGUSR1) == 0 ? 0 : -1;
            }),
            0);
}

TEST(SystemCallFilter, KeepsAbortFatal) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!InstallSystemCallFilter({}).ok()) ::_exit(1);
    ::signal(SIGABRT, SIG_DFL);
    std::abort();
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
}

long Map(int protection) {
  return ::mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1
                                                                                             : 0;
}
long Protect(int protection) {
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return ::mprotect(memory, 4096, protection);
}

TEST(SystemCallFilter, RefusesCodeThatWasData) {
  EXPECT_EQ(Filtered([] { return Map(PROT_READ | PROT_WRITE | PROT_EXEC); }), EPERM);
  EXPECT_EQ(Filtered([] { return Protect(PROT_READ | PROT_EXEC); }), EPERM);
  EXPECT_EQ(Filtered([] { return Protect(PROT_READ | PROT_WRITE | PROT_EXEC); }), EPERM);
  EXPECT_EQ(Filtered(Call(SYS_shmat, -1, nullptr, SHM_EXEC)), EPERM);
  EXPECT_EQ(Filtered([] { return Map(PROT_READ | PROT_EXEC); }), 0);
  EXPECT_EQ(Filtered([] { return Protect(PROT_READ); }), 0);
  EXPECT_EQ(Filtered([] { return Protect(PROT_READ | PROT_EXEC); }, {"mprotect"}), 0);
}

TEST(SystemCallFilter, KeepsLibrariesLoadable) {
  EXPECT_EQ(
      InChild([] {
        if (::dlopen("libutil.so.1", RTLD_NOLOAD | RTLD_LAZY) != nullptr) {
          return std::string("it was there before");
        }
        if (!InstallSystemCallFilter({}).ok()) return std::string("no filter");
        return std::string(::dlopen("libutil.so.1", RTLD_NOW) != nullptr ? "ok" : ::dlerror());
      }),
      "ok");
}

TEST(SystemCallFilter, RefusesKeystrokesForTheTerminal) {
  char key = 'x';
  EXPECT_EQ(Filtered(Call(SYS_ioctl, -1, TIOCSTI, &key)), EPERM);
  // The kernel looks at the lower half only.
  EXPECT_EQ(Filtered(Call(SYS_ioctl, -1, TIOCSTI | 1L << 32, &key)), EPERM);
  EXPECT_EQ(Filtered(Call(SYS_ioctl, -1, FIONREAD, &key)), EBADF);
}

// What handlers, malloc, the log and the hand-over of connections use.
TEST(SystemCallFilter, KeepsTheRest) {
  EXPECT_EQ(Filtered([] { return ::open("/proc/self/status", O_RDONLY); }), 0);
  EXPECT_EQ(Filtered([] { return ::socket(AF_INET, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(Filtered([] { return ::memfd_create("x", MFD_CLOEXEC); }), 0);
  EXPECT_EQ(Filtered(Call(SYS_pidfd_open, ::getpid(), 0)), 0);
  EXPECT_EQ(Filtered(Call(SYS_eventfd2, 0, 0)), 0);
  char bytes[4];
  EXPECT_EQ(Filtered(Call(SYS_getrandom, bytes, 4, 0)), 0);
  EXPECT_EQ(Filtered([] {
              int ends[2];
              if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return -1L;
              char control[CMSG_SPACE(sizeof(int))] = {};
              char byte = 'x';
              iovec part = {&byte, 1};
              msghdr message = {};
              message.msg_iov = &part;
              message.msg_iovlen = 1;
              message.msg_control = control;
              message.msg_controllen = sizeof(control);
              cmsghdr* header = CMSG_FIRSTHDR(&message);
              header->cmsg_level = SOL_SOCKET;
              header->cmsg_type = SCM_RIGHTS;
              header->cmsg_len = CMSG_LEN(sizeof(int));
              *reinterpret_cast<int*>(CMSG_DATA(header)) = ends[0];
              if (::sendmsg(ends[0], &message, 0) != 1) return -1L;
              return ::recvmsg(ends[1], &message, 0) == 1 && message.msg_controllen > 0 ? 0L : -1L;
            }),
            0);
}

TEST(SystemCallFilter, AllowsByName) {
  EXPECT_EQ(Filtered(Call(SYS_chroot, "/nowhere/at/all"), {"chroot"}),
            ::geteuid() == 0 ? ENOENT : EPERM);
  EXPECT_EQ(Filtered(Call(SYS_chroot, "/nowhere/at/all"), {"mount"}), EPERM);
  EXPECT_EQ(Filtered(Call(SYS_io_uring_setup, 0, nullptr), {"io_uring_setup"}), EFAULT);
}

TEST(SystemCallFilter, HoldsInThreadsThatRanBefore) {
  EXPECT_EQ(InChild([] {
              std::atomic<bool> filtered = false;
              std::string seen;
              std::thread other([&] {
                filtered.wait(false);
                const int error = ::chroot("/nowhere") == 0 ? 0 : errno;
                seen = fmt::format("{} {}", error, ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
              });
              const absl::Status status = InstallSystemCallFilter({});
              filtered = true;
              filtered.notify_one();
              other.join();
              return status.ok() ? seen : std::string(status.message());
            }),
            fmt::format("{} 1", EPERM));
}

#ifdef __x86_64__
// Other tables of system calls must not be a way around.
TEST(SystemCallFilter, RefusesTheCallsOfX32) {
  EXPECT_EQ(Filtered(Call(__X32_SYSCALL_BIT | SYS_getpid)), EPERM);
}

int GetPidOf32Bit() {
  int result = 0;
  __asm__ volatile("int $0x80" : "=a"(result) : "0"(20) : "memory", "r8", "r9", "r10", "r11");
  return result;
}

TEST(SystemCallFilter, RefusesTheCallsOf32Bit) {
  const auto status_of = [](bool filtered) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGSEGV, SIG_DFL);
      if (filtered && !InstallSystemCallFilter({}).ok()) ::_exit(1);
      const int pid = GetPidOf32Bit();
      ::_exit(pid == ::getpid() ? 2 : pid == -EPERM ? 3 : 4);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  };
  const int without = status_of(false);
  if (WIFSIGNALED(without)) GTEST_SKIP() << "this kernel has no 32-bit system calls";
  EXPECT_EQ(WEXITSTATUS(without), 2);
  EXPECT_EQ(WEXITSTATUS(status_of(true)), 3);
}
#endif

TEST(SystemCallFilter, ShowsInProcStatus) {
  EXPECT_EQ(InChild([] {
              if (!InstallSystemCallFilter({}).ok()) return std::string("no filter");
              const auto state = SandboxState::OfProcess(::getpid());
              return fmt::format("{} {}", SeccompName(state->seccomp), state->no_new_privs);
            }),
            "filter true");
}

TEST(RefusedCalls, AreNamedOnceEach) {
  std::set<std::string_view> names;
  for (const RefusedCall& call : RefusedCalls()) EXPECT_TRUE(names.insert(call.name).second);
}

TEST(CheckAllowedCall, KnowsWhatIsRefused) {
  EXPECT_TRUE(CheckAllowedCall("io_uring_setup").ok());
  EXPECT_EQ(CheckAllowedCall("openat").message(),
            "the sandbox refuses no system call \"openat\"; there is nothing to allow");
  EXPECT_EQ(CheckAllowedCall("excve").message(),
            "the sandbox refuses no system call \"excve\"; there is nothing to allow (did you mean "
            "\"execve\"?)");
}

}  // namespace
}  // namespace ringmaster
