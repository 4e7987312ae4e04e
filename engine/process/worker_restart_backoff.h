#pragma once

#include <algorithm>

#include "engine/base/time.h"

namespace ringmaster {

// How long a worker slot stays empty after its process died: 100 ms, then twice as long with every
// further death, at most 30 s. A worker that lived 10 s has shown that it can: the next wait is 100
// ms again. Without this a worker that dies at once would be restarted thousands of times a second.
class WorkerRestartBackoff {
 public:
  static constexpr Duration kFirst = std::chrono::milliseconds(100);
  static constexpr Duration kMax = std::chrono::seconds(30);
  static constexpr Duration kHealthyAfter = std::chrono::seconds(10);

  // The wait after a process that lived from `started_at` to `died_at`.
  Duration AfterDeath(TimePoint started_at, TimePoint died_at) {
    if (died_at - started_at >= kHealthyAfter.count()) next_ = kFirst;
    const Duration wait = next_;
    next_ = std::min(2 * next_, kMax);
    return wait;
  }

  // The wait after a process that served from `started_at` to `stuck_at` and then stopped moving.
  // The time in which it did nothing shows no health. None at all if it was healthy before: its
  // connections have waited long enough.
  Duration AfterStall(TimePoint started_at, TimePoint stuck_at) {
    if (stuck_at - started_at < kHealthyAfter.count()) return AfterDeath(started_at, stuck_at);
    next_ = kFirst;
    return Duration::zero();
  }

 private:
  Duration next_ = kFirst;
};

}  // namespace ringmaster
