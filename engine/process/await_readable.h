#pragma once

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "engine/base/time.h"
#include "engine/stats/shared_status.h"

namespace ringmaster {

// True when `fd` is readable, or its other end gone, before the deadline.
inline bool AwaitReadable(int fd, TimePoint deadline) {
  while (true) {
    const TimePoint left = std::max<TimePoint>(deadline - MonotonicNow(), 0);
    const auto milliseconds = static_cast<int>(std::min<TimePoint>(left / 1'000'000 + 1, INT_MAX));
    pollfd entry = {fd, POLLIN, 0};
    const int ready = ::poll(&entry, 1, milliseconds);
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

}  // namespace ringmaster
