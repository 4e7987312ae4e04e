#include "engine/process/resource_limits.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

namespace ringmaster {
namespace {

// Standard streams, ring, log, control socket, shared memory, and the files a handler opens.
constexpr uint64_t kReservedDescriptors = 64;
// What 0 means where the limit is higher or absent (containers often grant a thousand million): one
// worker with more connections than this is a decision, not a default.
constexpr uint64_t kDefaultConnectionsMax = 1u << 20;

}  // namespace

absl::StatusOr<uint64_t> RaiseDescriptorLimit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return absl::ErrnoToStatus(errno, "cannot read the limit of open files");
  }
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = limit.rlim_max;
    // Refused where the hard limit is above fs.nr_open; the soft limit then stands.
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return static_cast<uint64_t>(limit.rlim_cur);
}

absl::StatusOr<uint32_t> WorkerConnectionsMax(uint32_t wanted, uint64_t descriptor_limit,
                                              size_t listener_count) {
  const uint64_t reserved = kReservedDescriptors + listener_count;
  if (descriptor_limit <= reserved) {
    return absl::InvalidArgumentError(
        fmt::format("the limit of open files ({}) leaves no room for connections; raise `ulimit "
                    "-Hn` or LimitNOFILE=",
                    descriptor_limit));
  }
  const uint64_t room = descriptor_limit - reserved;
  if (wanted == 0) return static_cast<uint32_t>(std::min(room, kDefaultConnectionsMax));
  if (wanted > room) {
    return absl::InvalidArgumentError(fmt::format(
        "worker_connections_max is {}, but the limit of open files ({}) leaves {}; raise "
        "`ulimit -Hn` or LimitNOFILE=, or lower worker_connections_max",
        wanted, descriptor_limit, room));
  }
  return wanted;
}

}  // namespace ringmaster
