#pragma once

#include "engine/base/time.h"

namespace ringmaster {

// Points of a clock that stands where a test puts it.
inline constexpr TimePoint kMillisecond = 1'000'000;
inline constexpr TimePoint kSecond = 1'000 * kMillisecond;
constexpr TimePoint At(int64_t ms) { return ms * kMillisecond; }

}  // namespace ringmaster
