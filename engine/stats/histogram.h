#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/stats/counter.h"

namespace ringmaster {

// The shape of every histogram: log-linear, as in HdrHistogram. Values below 32 have a bucket each;
// above, each power of two is divided into 32 buckets, so that a bucket is at most 1/32 (3.1 %) of
// its values wide. Values are nanoseconds, 0 to 137 seconds; what is longer counts in the last
// bucket.
//
//     0 1 2 ... 31 | 32 33 ... 63 | 64 66 ... 126 | 128 132 ... | ...
struct HistogramShape {
  static constexpr int kSubBucketBits = 5;
  static constexpr uint32_t kSubBucketCount = 1u << kSubBucketBits;
  static constexpr int kValueBits = 37;
  static constexpr uint64_t kValueMax = (uint64_t{1} << kValueBits) - 1;
  static constexpr size_t kBucketCount =
      (kValueBits - kSubBucketBits + 1) * size_t{kSubBucketCount};

  static constexpr size_t BucketOf(uint64_t value) {
    if (value < kSubBucketCount) return static_cast<size_t>(value);
    if (value > kValueMax) value = kValueMax;
    const int shift = std::bit_width(value) - 1 - kSubBucketBits;
    return static_cast<size_t>(shift) * kSubBucketCount + static_cast<size_t>(value >> shift);
  }
  // The largest value that counts in `bucket`.
  static constexpr uint64_t UpperBound(size_t bucket) {
    if (bucket < 2 * kSubBucketCount) return bucket;
    const size_t shift = bucket / kSubBucketCount - 1;
    return ((bucket % kSubBucketCount + kSubBucketCount + 1) << shift) - 1;
  }
};

// A distribution of durations in shared memory: written by one worker with plain stores, read by
// anybody at any time. 8.5 KiB, of which a worker touches the few cache lines of its usual values.
//
//   counters.handler_time.Add(nanoseconds, /*weight=*/messages);
//   HistogramSnapshot(counters.handler_time).Percentile(99.9);
class Histogram {
 public:
  // `weight` messages took `nanoseconds` each.
  void Add(uint64_t nanoseconds, uint64_t weight = 1) {
    sum_.Add(nanoseconds * weight);
    max_.Raise(nanoseconds);
    buckets_[HistogramShape::BucketOf(nanoseconds)].Add(weight);
  }

 private:
  friend class HistogramSnapshot;

  Counter sum_;
  Counter max_;
  std::array<Counter, HistogramShape::kBucketCount> buckets_;
};

// A histogram as it was at one moment, in the reader's memory. Nanoseconds.
class HistogramSnapshot {
 public:
  HistogramSnapshot();
  explicit HistogramSnapshot(const Histogram& histogram);

  // Adds another worker's.
  void Merge(const HistogramSnapshot& other);
  // What was counted since `earlier`, a snapshot of the same histogram. max() is then the upper
  // bound of the highest bucket in use. A histogram that has begun anew meanwhile counts whole.
  HistogramSnapshot Since(const HistogramSnapshot& earlier) const;

  // The count is the sum of the buckets, so it always agrees with the percentiles.
  uint64_t count() const { return count_; }
  uint64_t sum() const { return sum_; }
  uint64_t max() const { return max_; }
  double Mean() const;
  // The smallest bound below or at which `percent` (0 to 100) of the values lie; 0 when there are
  // none. Too high by at most 1/32, never too low, and never above max().
  uint64_t Percentile(double percent) const;
  // How many values lie in buckets that end at or below `nanoseconds`.
  uint64_t CountUpTo(uint64_t nanoseconds) const;

  const std::vector<uint64_t>& buckets() const { return buckets_; }
  // For a snapshot that comes from elsewhere, as text. An index beyond the last bucket is ignored.
  void SetBucket(size_t index, uint64_t count);
  void SetSumAndMax(uint64_t sum, uint64_t max);

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t max_ = 0;
};

}  // namespace ringmaster
