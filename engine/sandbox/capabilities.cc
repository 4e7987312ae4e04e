#include "engine/sandbox/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace ringmaster {
namespace {

// Version 3 has 64 bits, in two structures.
using CapabilitySets = __user_cap_data_struct[_LINUX_CAPABILITY_U32S_3];

long CapabilityCall(long number, CapabilitySets& sets) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  return ::syscall(number, &header, sets);
}

}  // namespace

bool HasCapability(int capability) {
  CapabilitySets sets = {};
  if (CapabilityCall(SYS_capget, sets) != 0) return false;
  return (sets[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

void ClearBoundingSet() {
  // The first number that the kernel does not know ends it.
  for (unsigned long capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability) != 0) return;
  }
}

absl::Status ClearCapabilities() {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return absl::ErrnoToStatus(errno, "cannot clear the ambient capabilities");
  }
  CapabilitySets none = {};
  if (CapabilityCall(SYS_capset, none) != 0) {
    return absl::ErrnoToStatus(errno, "cannot clear the capabilities (capset)");
  }
  return absl::OkStatus();
}

}  // namespace ringmaster
