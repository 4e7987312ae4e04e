#include "engine/sandbox/sandbox.h"

#include <fmt/format.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "engine/base/log.h"
#include "engine/sandbox/privilege_drop.h"
#include "engine/sandbox/refused_calls.h"
#include "engine/sandbox/sandbox_state.h"
#include "engine/sandbox/system_call_filter.h"

namespace ringmaster {

absl::Status CheckSandbox(const ServerOptions& options) {
  for (const std::string& name : options.sandbox_allow) {
    if (absl::Status status = CheckAllowedCall(name); !status.ok()) return status;
  }
  if (options.sandbox == SandboxMode::kRequired && !SystemCallFilterSupported()) {
    return absl::FailedPreconditionError(
        "sandbox is \"required\", but this kernel has no seccomp filters; \"on\" goes on without");
  }
  return CheckPrivilegeDrop(options.user, options.group);
}

absl::Status EnterSandbox(const ServerOptions& options, bool ring_restricted, bool say) {
  const bool required = options.sandbox == SandboxMode::kRequired;
  if (options.sandbox != SandboxMode::kOff) {
    const absl::Status status = InstallSystemCallFilter(options.sandbox_allow);
    if (!status.ok() && required) return status;
    if (!status.ok() && say) {
      log::Get().warn("the sandbox is incomplete: {}", std::string(status.message()));
    }
    if (!ring_restricted && required) {
      return absl::FailedPreconditionError("the kernel does not restrict the ring's operations");
    }
  }
  if (!say) return absl::OkStatus();
  const std::optional<SandboxState> state = SandboxState::OfProcess(::getpid());
  log::Get().info("sandbox {}: {}, ring {}",
                  options.sandbox == SandboxMode::kOff ? "off"
                  : required                           ? "required"
                                                       : "on",
                  state ? state->Describe() : "state unknown (is /proc mounted?)",
                  ring_restricted ? "restricted" : "not restricted");
  return absl::OkStatus();
}

}  // namespace ringmaster
