#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/container/inlined_vector.h"
#include "engine/limits/gcra.h"

namespace ringmaster {

// What an attempt to do something at a limited rate came to.
struct RateVerdict {
  // Until the next one would be allowed; zero: this one is.
  Duration wait = Duration::zero();
  // It was refused, and so were very many before it without a single pause: this peer does not
  // listen.
  bool hammering = false;

  bool allowed() const { return wait == Duration::zero(); }
};

// The token buckets of one connection, one for each RateLimit that was asked of it: the listener's,
// and those of routes that have their own. Allocated for connections that are limited, at the first
// thing they do.
class RateBuckets {
 public:
  // Refused this many bursts in a row, a peer is hammering.
  static constexpr uint64_t kHammeringBursts = 10;

  // Takes one token of the bucket of `rate`, which is limited; its address names the bucket. Zero:
  // there was one; else how long until there is.
  Duration Take(const RateLimit& rate, TimePoint now) {
    return Gcra(rate).Take(BucketOf(rate), now);
  }

  // What all buckets that were asked came to; `rate` is the one that made it wait. Counts towards
  // hammering.
  RateVerdict Judge(const RateLimit& rate, Duration wait) {
    if (wait == Duration::zero()) {
      refused_in_a_row_ = 0;
      return {};
    }
    if (refused_in_a_row_ < std::numeric_limits<uint32_t>::max()) ++refused_in_a_row_;
    const double most = rate.burst_or_default() * kHammeringBursts;
    return {wait, static_cast<double>(refused_in_a_row_) > most};
  }

 private:
  struct Bucket {
    const RateLimit* rate;
    TimePoint arrival;
  };

  TimePoint& BucketOf(const RateLimit& rate) {
    const auto found = std::find_if(buckets_.begin(), buckets_.end(),
                                    [&](const Bucket& bucket) { return bucket.rate == &rate; });
    if (found != buckets_.end()) return found->arrival;
    return buckets_.emplace_back(Bucket{&rate, 0}).arrival;
  }

  absl::InlinedVector<Bucket, 2> buckets_;
  uint32_t refused_in_a_row_ = 0;
};

}  // namespace ringmaster
