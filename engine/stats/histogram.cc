#include "engine/stats/histogram.h"

#include <algorithm>
#include <cmath>

namespace ringmaster {

static_assert(HistogramShape::BucketOf(HistogramShape::kValueMax) ==
              HistogramShape::kBucketCount - 1);
static_assert(HistogramShape::UpperBound(HistogramShape::kBucketCount - 1) ==
              HistogramShape::kValueMax);

HistogramSnapshot::HistogramSnapshot() : buckets_(HistogramShape::kBucketCount) {}

HistogramSnapshot::HistogramSnapshot(const Histogram& histogram) : HistogramSnapshot() {
  uint64_t highest = 0;  // no value above it has been seen in a bucket
  for (size_t i = 0; i < buckets_.size(); ++i) {
    buckets_[i] = histogram.buckets_[i].Get();
    count_ += buckets_[i];
    if (buckets_[i] > 0) highest = i == 0 ? 0 : HistogramShape::UpperBound(i - 1) + 1;
  }
  sum_ = histogram.sum_.Get();
  // The worker goes on counting meanwhile; nothing orders its stores for us.
  max_ = std::max(histogram.max_.Get(), highest);
}

void HistogramSnapshot::Merge(const HistogramSnapshot& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
}

HistogramSnapshot HistogramSnapshot::Since(const HistogramSnapshot& earlier) const {
  HistogramSnapshot since;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] < earlier.buckets_[i]) return *this;
    const uint64_t count = buckets_[i] - earlier.buckets_[i];
    since.buckets_[i] = count;
    since.count_ += count;
    if (count > 0) since.max_ = HistogramShape::UpperBound(i);
  }
  since.max_ = std::min(since.max_, max_);
  since.sum_ = sum_ - std::min(sum_, earlier.sum_);
  return since;
}

double HistogramSnapshot::Mean() const {
  return count_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

uint64_t HistogramSnapshot::Percentile(double percent) const {
  if (count_ == 0) return 0;
  const double share = std::clamp(percent, 0.0, 100.0) / 100.0 * static_cast<double>(count_);
  // 99.9 % of 1,000 is the 999th, though the product may come out a hair above 999.
  const auto rank = static_cast<uint64_t>(std::ceil(share - 1e-9 * share));
  const uint64_t wanted = std::clamp<uint64_t>(rank, 1, count_);
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted) {
      // What is longer than the last bucket counts there; the maximum says how long.
      if (i + 1 == buckets_.size()) return max_;
      return std::min(HistogramShape::UpperBound(i), max_);
    }
  }
  return max_;
}

uint64_t HistogramSnapshot::CountUpTo(uint64_t nanoseconds) const {
  uint64_t count = 0;
  for (size_t i = 0; i < buckets_.size() && HistogramShape::UpperBound(i) <= nanoseconds; ++i) {
    count += buckets_[i];
  }
  return count;
}

void HistogramSnapshot::SetBucket(size_t index, uint64_t count) {
  if (index >= buckets_.size()) return;
  count_ += count - buckets_[index];
  buckets_[index] = count;
}

void HistogramSnapshot::SetSumAndMax(uint64_t sum, uint64_t max) {
  sum_ = sum;
  max_ = max;
}

}  // namespace ringmaster
