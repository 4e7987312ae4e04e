#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>

#include "engine/base/time.h"
#include "engine/limits/rate_limit.h"

namespace ringmaster {

// A RateLimit enforced by the generic cell rate algorithm (ITU-T I.371): a token bucket whose whole
// state is one point in time, the theoretical arrival time of the next event. An event is allowed
// when it comes at most `tolerance` before that time, and moves it one `interval` on. In any span
// of t seconds at most burst + per_second * t events are allowed, exactly.
//
//   const Gcra requests(options.request_rate);
//   int64_t arrival = 0;  // one per whom it is counted for; 0 = nothing has happened yet
//   if (const Duration wait = requests.Take(arrival, worker.now()); wait > Duration::zero()) {
//     Refuse(wait);       // allowed again after `wait`
//   }
//
// The state may also be an atomic in shared memory, taken from by several workers without a lock.
// `now` is a turn's time; workers' turns need not agree on it: who is late only gets less.
// A state that lies at or before `now` is at rest: it says as much as 0.
class Gcra {
 public:
  Gcra() = default;  // no limit
  explicit Gcra(const RateLimit& rate) {
    if (!rate.limited()) return;
    // Rounded up: never more than asked for. The caps keep sums of both far from overflow.
    constexpr double kMax = 9e17;  // 28 years
    interval_ = static_cast<int64_t>(std::min(std::ceil(1e9 / rate.per_second), kMax));
    const double tolerance = (rate.burst_or_default() - 1) * static_cast<double>(interval_);
    tolerance_ = static_cast<int64_t>(std::clamp(tolerance, 0.0, kMax));
  }

  bool limited() const { return interval_ > 0; }

  // Zero: allowed, and counted. Else how long until the next one would be; nothing was counted.
  Duration Take(int64_t& arrival, TimePoint now) const {
    // Not even the time is kept: that of another worker may be later than `now`.
    if (!limited()) return Duration::zero();
    if (const int64_t wait = arrival - tolerance_ - now; wait > 0) return Duration(wait);
    arrival = std::max(arrival, now) + interval_;
    return Duration::zero();
  }
  // The same for a state that several workers share. Relaxed: it guards no other memory.
  Duration Take(std::atomic<int64_t>& shared, TimePoint now) const {
    int64_t seen = shared.load(std::memory_order_relaxed);
    while (true) {
      int64_t arrival = seen;
      const Duration wait = Take(arrival, now);
      if (wait > Duration::zero() || arrival == seen) return wait;
      if (shared.compare_exchange_weak(seen, arrival, std::memory_order_relaxed)) return wait;
    }
  }
  // Takes back one that was allowed and did not happen.
  void GiveBack(std::atomic<int64_t>& shared) const {
    shared.fetch_sub(interval_, std::memory_order_relaxed);
  }

 private:
  int64_t interval_ = 0;
  int64_t tolerance_ = 0;
};

}  // namespace ringmaster
