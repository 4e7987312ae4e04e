#pragma once

#include <cstdint>

#include "absl/status/statusor.h"

namespace ringmaster {

// Raises the soft limit of open files to the hard one; workers inherit it. Returns the limit.
absl::StatusOr<uint64_t> RaiseDescriptorLimit();

// The connections one worker may hold under `descriptor_limit`: `wanted`, or, when that is 0, as
// many as the limit leaves. Errors: kInvalidArgument when `wanted` does not fit, with the remedy.
absl::StatusOr<uint32_t> WorkerConnectionsMax(uint32_t wanted, uint64_t descriptor_limit,
                                              size_t listener_count);

}  // namespace ringmaster
