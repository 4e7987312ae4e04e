#pragma once

#include <chrono>
#include <cstdint>

// Time in the engine. A *timeout* is a Duration from the configuration; a *deadline* is the point
// in time it becomes. Points are nanoseconds of CLOCK_MONOTONIC, read once per turn of the loop and
// passed in: nothing on the hot path asks the clock by itself.

namespace ringmaster {

using Duration = std::chrono::nanoseconds;

// Nanoseconds of CLOCK_MONOTONIC. kNever sorts after every real point.
using TimePoint = int64_t;
inline constexpr TimePoint kNever = INT64_MAX;
inline constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

// `timeout` 0 means off, so the deadline is kNever.
constexpr TimePoint DeadlineAfter(TimePoint now, Duration timeout) {
  return timeout.count() <= 0 ? kNever : now + timeout.count();
}

}  // namespace ringmaster
