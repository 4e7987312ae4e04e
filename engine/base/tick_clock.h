#pragma once

#include <cstdint>

#include "engine/base/time.h"

namespace ringmaster {

// A cheap clock for measuring how long something took, never for deadlines: ticks of the
// processor's time stamp counter where that runs at a constant rate through every sleep state
// (CPUID 8000_0007h, "invariant TSC"), else nanoseconds of CLOCK_MONOTONIC. A reading costs less
// than half of clock_gettime(2), which reads the same counter, waits for the pipeline and then
// computes. Readings of one thread may be compared; a difference that comes out negative after a
// move to another CPU counts as 0.
//
//   const TickClock clock = TickClock::Get();
//   const uint64_t began = clock.Now();
//   ...
//   const uint64_t nanoseconds = clock.Between(began, clock.Now());
class TickClock {
 public:
  // Nanoseconds of CLOCK_MONOTONIC.
  TickClock() = default;
  // Calibrated against CLOCK_MONOTONIC at the first call in a process, which takes a millisecond.
  // Any thread.
  static TickClock Get();

  uint64_t Now() const {
#if defined(__x86_64__)
    if (counts_ticks_) return __builtin_ia32_rdtsc();
#endif
    return ReadMonotonic();
  }

  // Nanoseconds; saturates at kTicksMax ticks (a minute or more).
  uint64_t Between(uint64_t began, uint64_t ended) const {
    if (ended <= began) return 0;
    const uint64_t ticks = ended - began;
    return (ticks < kTicksMax ? ticks : kTicksMax) * nanoseconds_per_tick_ >> kFractionBits;
  }

 private:
  // Ticks times the factor fit 64 bits: 39 + 24 bits, and a tick lasts less than two nanoseconds.
  static constexpr int kFractionBits = 24;
  static constexpr uint64_t kTicksMax = uint64_t{1} << 39;

  static TickClock Calibrate();
  static uint64_t ReadMonotonic();

  bool counts_ticks_ = false;
  uint64_t nanoseconds_per_tick_ = uint64_t{1} << kFractionBits;  // fixed point
};

}  // namespace ringmaster
