#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/status.h"

namespace ringmaster {

// When a system call of the list is refused.
enum class CallRefusal : uint8_t {
  kAlways,
  kOtherProcess,        // unless its first argument is the worker's own pid
  kNamespaces,          // clone(2) with a CLONE_NEW... flag
  kUnknown,             // answered with ENOSYS, so that the C library takes the older call
  kWritableExecutable,  // mmap(2) with PROT_WRITE and PROT_EXEC
  kExecutable,          // mprotect(2) with PROT_EXEC
  kSharedExecutable,    // shmat(2) with SHM_EXEC
  kTerminalInput,       // ioctl(2): TIOCSTI, TIOCLINUX
};

struct RefusedCall {
  std::string_view name;
  CallRefusal refusal = CallRefusal::kAlways;
};

// What no worker needs while it serves, and what code that has taken one over asks for first. The
// handlers are an application's own C++, so this is a list of what is refused and not of what is
// allowed.
std::span<const RefusedCall> RefusedCalls();

// Whether `name` may stand in ServerOptions::sandbox_allow. Errors: kInvalidArgument when nothing
// of that name is refused, with the name that was probably meant.
absl::Status CheckAllowedCall(std::string_view name);

}  // namespace ringmaster
