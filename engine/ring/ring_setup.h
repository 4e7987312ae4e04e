#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace ringmaster {

struct RingOptions {
  uint32_t sq_entries = 1024;
  uint32_t cq_entries = 4096;
  uint32_t buffer_count = 128;  // a power of two
  uint32_t buffer_bytes = 16 * 1024 + 64;
  // Only the operations that KernelRing submits, see ring_restrictions.h.
  bool restricted = true;
};

// What one attempt at io_uring_setup(2) asks for, best first. `since` is the kernel that brought
// it.
struct SetupAttempt {
  uint32_t flags;
  const char* name;
  const char* since;
};

// From the newest set-up to the floor; the first that the kernel accepts is used. Null-terminated
// by name.
extern const SetupAttempt kSetupAttempts[];

// Explains why io_uring_setup or a registration failed, and what to do: which sysctl, which limit,
// which kernel. `error` is a positive errno.
absl::Status ExplainSetupError(const char* step, int error, const RingOptions& options);

// Bytes of locked memory one worker needs about; RLIMIT_MEMLOCK counts them from kernel 6.14 for
// users without CAP_IPC_LOCK, summed per user.
uint64_t LockedBytesEstimate(const RingOptions& options);

}  // namespace ringmaster
