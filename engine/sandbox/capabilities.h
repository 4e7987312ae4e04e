#pragma once

#include <cstdint>

#include "absl/status/status.h"

// capabilities(7) of the calling thread, by its three system calls: libcap would be one more
// library to install for these few lines.

namespace ringmaster {

// Whether `capability` (CAP_SETUID, ...) is in the effective set.
bool HasCapability(int capability);

// Empties the bounding set, from which an executed file takes capabilities. Needs CAP_SETPCAP; a
// container often has it not, and then the set stays: no_new_privs closes that way as well.
void ClearBoundingSet();

// Empties the effective, permitted, inheritable and ambient sets. Errors: the failed call's.
absl::Status ClearCapabilities();

}  // namespace ringmaster
