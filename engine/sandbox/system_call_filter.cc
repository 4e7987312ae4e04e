#include "engine/sandbox/system_call_filter.h"

#include <fmt/format.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/sandbox/refused_calls.h"

namespace ringmaster {
namespace {

// What the sanitizers' run time does at the end of a process or for a report: the leak check stops
// the threads by ptrace, and the symbolizer is a program. Released builds have no such exceptions.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RINGMASTER_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define RINGMASTER_SANITIZED 1
#endif
#endif
#ifdef RINGMASTER_SANITIZED
constexpr std::string_view kSanitizerNeeds[] = {"ptrace", "execve"};
#else
constexpr std::span<const std::string_view> kSanitizerNeeds;
#endif

constexpr uint32_t kDeny = SCMP_ACT_ERRNO(EPERM);

struct ReleaseFilter {
  void operator()(void* filter) const { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;

bool IsAllowed(std::string_view name, std::span<const std::string> allowed) {
  return std::find(allowed.begin(), allowed.end(), name) != allowed.end() ||
         std::find(std::begin(kSanitizerNeeds), std::end(kSanitizerNeeds), name) !=
             std::end(kSanitizerNeeds);
}

scmp_arg_cmp HasBits(unsigned argument, uint64_t bits) {
  return {argument, SCMP_CMP_MASKED_EQ, bits, bits};
}

// One rule for each: any of them is reason enough to refuse.
std::vector<scmp_arg_cmp> ConditionsOf(CallRefusal refusal) {
  switch (refusal) {
    case CallRefusal::kAlways:
    case CallRefusal::kUnknown:
      return {};
    case CallRefusal::kOtherProcess:
      return {{0, SCMP_CMP_NE, static_cast<uint64_t>(::getpid()), 0}};
    case CallRefusal::kNamespaces:
      return {HasBits(0, CLONE_NEWNS),  HasBits(0, CLONE_NEWCGROUP), HasBits(0, CLONE_NEWUTS),
              HasBits(0, CLONE_NEWIPC), HasBits(0, CLONE_NEWUSER),   HasBits(0, CLONE_NEWPID),
              HasBits(0, CLONE_NEWNET)};
    case CallRefusal::kWritableExecutable:
      return {HasBits(2, PROT_WRITE | PROT_EXEC)};
    case CallRefusal::kExecutable:
      return {HasBits(2, PROT_EXEC)};
    case CallRefusal::kSharedExecutable:
      return {HasBits(2, SHM_EXEC)};
    case CallRefusal::kTerminalInput:
      // The kernel looks at 32 bits of the request, so the others must not hide it.
      return {{1, SCMP_CMP_MASKED_EQ, 0xFFFFFFFF, TIOCSTI},
              {1, SCMP_CMP_MASKED_EQ, 0xFFFFFFFF, TIOCLINUX}};
  }
  return {};
}

int AddRules(void* filter, const RefusedCall& call) {
  const int number = ::seccomp_syscall_resolve_name(std::string(call.name).c_str());
  // Not of this architecture, or newer than the library.
  if (number < 0) return 0;
  const uint32_t action = call.refusal == CallRefusal::kUnknown ? SCMP_ACT_ERRNO(ENOSYS) : kDeny;
  const std::vector<scmp_arg_cmp> conditions = ConditionsOf(call.refusal);
  if (conditions.empty()) return ::seccomp_rule_add_array(filter, action, number, 0, nullptr);
  for (const scmp_arg_cmp& condition : conditions) {
    const int result = ::seccomp_rule_add_array(filter, action, number, 1, &condition);
    if (result != 0) return result;
  }
  return 0;
}

absl::Status Failed(const char* step, int error) {
  return absl::ErrnoToStatus(error, fmt::format("system call filter: {}", step));
}

absl::Status SetAttributes(void* filter) {
  constexpr std::pair<scmp_filter_attr, uint32_t> kAttributes[] = {
      {SCMP_FLTATR_ACT_BADARCH, kDeny},
      {SCMP_FLTATR_CTL_NNP, 1},
      {SCMP_FLTATR_CTL_TSYNC, 1},
      {SCMP_FLTATR_CTL_SSB, 1},
      // A binary tree: the calls whose arguments are looked at run the filter each time.
      {SCMP_FLTATR_CTL_OPTIMIZE, 2},
      // Else every failed load is ECANCELED.
      {SCMP_FLTATR_API_SYSRAWRC, 1},
  };
  for (const auto& [attribute, value] : kAttributes) {
    if (const int result = ::seccomp_attr_set(filter, attribute, value); result != 0) {
      return Failed("seccomp_attr_set", -result);
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool SystemCallFilterSupported() {
  const uint32_t action = SECCOMP_RET_ERRNO;
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

absl::Status InstallSystemCallFilter(std::span<const std::string> allowed) {
  if (!SystemCallFilterSupported()) {
    return absl::UnimplementedError(
        "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER), or a sandbox hides them");
  }
  const Filter filter(::seccomp_init(SCMP_ACT_ALLOW));
  if (filter == nullptr) return absl::ResourceExhaustedError("system call filter: seccomp_init");
  if (absl::Status status = SetAttributes(filter.get()); !status.ok()) return status;
  for (const RefusedCall& call : RefusedCalls()) {
    if (IsAllowed(call.name, allowed)) continue;
    if (const int result = AddRules(filter.get(), call); result != 0) {
      return Failed(call.name.data(), -result);
    }
  }
  const int result = ::seccomp_load(filter.get());
  return result == 0 ? absl::OkStatus() : Failed("seccomp_load", -result);
}

}  // namespace ringmaster
