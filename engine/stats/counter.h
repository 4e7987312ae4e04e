#pragma once

#include <atomic>
#include <cstdint>

// The build option -Dcounters=false takes the counting out, to measure what it costs. No other use:
// a server without figures is blind.
#ifndef RINGMASTER_COUNTERS_ON
#define RINGMASTER_COUNTERS_ON 1
#endif

namespace ringmaster {

inline constexpr bool kCountersOn = RINGMASTER_COUNTERS_ON != 0;

// One figure in shared memory, written by one worker and read by anybody: relaxed, no lock prefix.
// It is there to be seen; no decision may depend on Get(), which is 0 in a build without counters.
class Counter {
 public:
  void Add(uint64_t n = 1) {
    if constexpr (kCountersOn) Set(Get() + n);
  }
  void Subtract(uint64_t n = 1) {
    if constexpr (kCountersOn) Set(Get() - n);
  }
  void Set(uint64_t n) {
    if constexpr (kCountersOn) value_.store(n, std::memory_order_relaxed);
  }
  // Keeps the larger.
  void Raise(uint64_t n) {
    if constexpr (kCountersOn) {
      if (n > Get()) Set(n);
    }
  }
  uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

}  // namespace ringmaster
