#include "engine/base/tick_clock.h"

#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ringmaster {
namespace {

// Long enough that the cost of reading the clock is a ten-thousandth of it.
constexpr uint64_t kCalibrationNanoseconds = 1'000'000;

#if defined(__x86_64__)
bool CounterIsInvariant() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) != 0 && (edx & (1u << 8)) != 0;
}
#endif

}  // namespace

uint64_t TickClock::ReadMonotonic() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

TickClock TickClock::Calibrate() {
  TickClock clock;
#if defined(__x86_64__)
  if (!CounterIsInvariant()) return clock;
  const uint64_t began = ReadMonotonic();
  const uint64_t first_tick = __builtin_ia32_rdtsc();
  uint64_t elapsed = 0;
  while (elapsed < kCalibrationNanoseconds) elapsed = ReadMonotonic() - began;
  const uint64_t ticks = __builtin_ia32_rdtsc() - first_tick;
  const uint64_t factor = (elapsed << kFractionBits) / ticks;
  // A counter slower than 0.5 GHz would not fit the arithmetic of Between, nor be worth it.
  if (factor == 0 || factor >= uint64_t{2} << kFractionBits) return clock;
  clock.counts_ticks_ = true;
  clock.nanoseconds_per_tick_ = factor;
#endif
  return clock;
}

TickClock TickClock::Get() {
  static const TickClock clock = Calibrate();
  return clock;
}

}  // namespace ringmaster
