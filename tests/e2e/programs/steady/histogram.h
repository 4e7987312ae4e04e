#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "tests/e2e/programs/steady/event_loop.h"

namespace steady {

// Durations in buckets of microseconds: exact up to 63, then 32 to a power of two (3 % wide).
class Histogram {
 public:
  void Record(Nanoseconds duration) {
    duration = std::max<Nanoseconds>(0, duration);
    max_ = std::max(max_, duration);
    ++count_;
    ++buckets_[std::min(Bucket(static_cast<uint64_t>(duration) / 1000), kBuckets - 1)];
  }

  uint64_t count() const { return count_; }
  // Exact.
  double max_ms() const { return static_cast<double>(max_) / 1e6; }

  // No less than that share of all durations are at most this long: the upper end of the bucket.
  double PercentileMs(double share) const {
    const auto wanted = static_cast<uint64_t>(share * static_cast<double>(count_) + 0.999999);
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += buckets_[i];
      if (seen >= wanted) return std::min(static_cast<double>(UpperEnd(i)) / 1e3, max_ms());
    }
    return max_ms();
  }

 private:
  static constexpr size_t kBuckets = 32 * 32;

  static size_t Bucket(uint64_t microseconds) {
    if (microseconds < 64) return microseconds;
    const auto shift = static_cast<size_t>(std::bit_width(microseconds)) - 6;
    return shift * 32 + static_cast<size_t>(microseconds >> shift);
  }
  static uint64_t UpperEnd(size_t bucket) {
    if (bucket < 64) return bucket + 1;
    const size_t shift = bucket / 32 - 1;
    return (bucket - shift * 32 + 1) << shift;
  }

  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  Nanoseconds max_ = 0;
};

}  // namespace steady
