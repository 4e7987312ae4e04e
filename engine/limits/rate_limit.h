#pragma once

#include <cstdint>

namespace ringmaster {

// How often something may happen: on average `per_second` times, at most `burst` times at once. 0 =
// no limit.
//
//   RateLimit{.per_second = 100}               // 100 a second, 100 at once
//   RateLimit{.per_second = 0.5, .burst = 10}  // thirty a minute, ten at once
struct RateLimit {
  double per_second = 0;
  // 0 = what one second allows, at least one.
  uint32_t burst = 0;

  constexpr bool limited() const { return per_second > 0; }
  constexpr double burst_or_default() const {
    if (burst > 0) return burst;
    return per_second < 1 ? 1 : per_second;
  }

  bool operator==(const RateLimit&) const = default;
};

}  // namespace ringmaster
