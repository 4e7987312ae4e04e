#pragma once

#include <atomic>
#include <cstdint>

namespace ringmaster {

// Whether a worker's loop moves: in shared memory, so that it can be read while the loop, or the
// whole process, does nothing any more. Points in time are TimePoints.
struct LoopPulse {
  // When the turn under way began; 0 = the loop waits for completions. Written by the loop, one
  // plain store on each side of its wait.
  std::atomic<int64_t> turn_began_at{0};
  // When the watchdog's thread last looked, at least once a second; 0 = there is none.
  std::atomic<int64_t> watchdog_at{0};
};

}  // namespace ringmaster
