#include "engine/ring/ring_setup.h"

#include <fmt/format.h>
#include <liburing.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <cerrno>
#include <cstring>

namespace ringmaster {

// SUBMIT_ALL: one bad SQE does not keep the rest of a turn from being submitted.
// DEFER_TASKRUN: completions run only when we ask, so a turn's work is batched and nothing
// interrupts a handler. COOP_TASKRUN is the nearest thing before 6.1. NO_SQARRAY (6.6) is not asked
// for: liburing 2.3 still writes through the array, and it saves nothing measurable.
const SetupAttempt kSetupAttempts[] = {
    {IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
         IORING_SETUP_DEFER_TASKRUN,
     "single_issuer+defer_taskrun", "6.1"},
    {IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
         IORING_SETUP_COOP_TASKRUN,
     "single_issuer+coop_taskrun", "6.0"},
    {IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN, "coop_taskrun",
     "5.19"},
    {IORING_SETUP_CQSIZE, "plain", "5.19"},
    {0, nullptr, nullptr},
};

uint64_t LockedBytesEstimate(const RingOptions& options) {
  // 64-byte SQEs, 16-byte CQEs, the SQ array, the buffer ring of 16-byte entries, page rounding.
  return uint64_t{options.sq_entries} * 68 + uint64_t{options.cq_entries} * 16 +
         uint64_t{options.buffer_count} * 16 + 4 * 4096;
}

absl::Status ExplainSetupError(const char* step, int error, const RingOptions& options) {
  utsname system = {};
  uname(&system);
  const auto explain = [&](std::string_view cause) {
    return absl::FailedPreconditionError(fmt::format("{}: {} (errno {}, kernel {}): {}", step,
                                                     std::strerror(error), error, system.release,
                                                     cause));
  };
  switch (error) {
    case EPERM:
      return explain(
          "io_uring is switched off here. On a host: sysctl kernel.io_uring_disabled=0 (1 allows "
          "only "
          "CAP_SYS_ADMIN and the group kernel.io_uring_group). In a container: use a seccomp "
          "profile that "
          "permits io_uring_setup, io_uring_enter and io_uring_register");
    case ENOSYS:
      return explain(
          "this kernel has no io_uring (CONFIG_IO_URING is off, or a sandbox such as gVisor hides "
          "it). "
          "Ringmaster needs Linux 6.1 or later");
    case ENOMEM: {
      rlimit limit = {};
      getrlimit(RLIMIT_MEMLOCK, &limit);
      return explain(
          fmt::format("RLIMIT_MEMLOCK is too low: it is {} bytes, one worker needs about {}, and "
                      "the workers of one "
                      "user are summed. Raise it: 'ulimit -l', LimitMEMLOCK=infinity in a systemd "
                      "unit, or fewer "
                      "workers",
                      limit.rlim_cur == RLIM_INFINITY ? std::string("unlimited")
                                                      : fmt::format("{}", limit.rlim_cur),
                      LockedBytesEstimate(options)));
    }
    case EMFILE:
    case ENFILE:
      return explain(
          "no file descriptor is left for the ring. Raise RLIMIT_NOFILE: 'ulimit -n', or "
          "LimitNOFILE= in a "
          "systemd unit");
    case EINVAL:
      return explain("this kernel lacks what Ringmaster needs: Linux 6.1 or later");
    default:
      return explain("unexpected; see io_uring_setup(2) and io_uring_register(2)");
  }
}

}  // namespace ringmaster
