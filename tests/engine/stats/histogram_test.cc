#include "engine/stats/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace ringmaster {
namespace {

constexpr double kErrorMax = 1.0 / HistogramShape::kSubBucketCount;

std::unique_ptr<Histogram> Make(const std::vector<uint64_t>& values) {
  auto histogram = std::make_unique<Histogram>();
  for (const uint64_t value : values) histogram->Add(value);
  return histogram;
}

TEST(HistogramShape, BucketsFollowEachOtherWithoutAGap) {
  for (size_t i = 0; i < HistogramShape::kBucketCount; ++i) {
    const uint64_t last = HistogramShape::UpperBound(i);
    EXPECT_EQ(HistogramShape::BucketOf(last), i);
    if (i + 1 < HistogramShape::kBucketCount) {
      EXPECT_EQ(HistogramShape::BucketOf(last + 1), i + 1);
    }
  }
}

TEST(HistogramShape, ABucketIsNoWiderThanItsShareOfTheValue) {
  for (size_t i = 1; i < HistogramShape::kBucketCount; ++i) {
    const uint64_t first = HistogramShape::UpperBound(i - 1) + 1;
    const uint64_t width = HistogramShape::UpperBound(i) - first + 1;
    EXPECT_LE(static_cast<double>(width - 1), kErrorMax * static_cast<double>(first)) << first;
  }
}

TEST(HistogramShape, SaturatesAboveItsRange) {
  EXPECT_EQ(HistogramShape::BucketOf(UINT64_MAX), HistogramShape::kBucketCount - 1);
  const HistogramSnapshot snapshot(*Make({UINT64_MAX / 4}));
  EXPECT_EQ(snapshot.Percentile(50), UINT64_MAX / 4);
}

TEST(HistogramSnapshot, PercentilesAgreeWithTheSortedValues) {
  std::mt19937_64 random(20261126);
  std::lognormal_distribution<double> draw(10.0, 3.0);  // median 22 us, a tail of seconds
  std::vector<uint64_t> values;
  for (int i = 0; i < 200'000; ++i) {
    values.push_back(std::min<uint64_t>(static_cast<uint64_t>(draw(random)), 100'000'000'000));
  }
  const HistogramSnapshot snapshot(*Make(values));
  std::sort(values.begin(), values.end());
  for (const double percent : {0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    const auto rank =
        static_cast<size_t>(std::ceil(percent / 100.0 * static_cast<double>(values.size()) - 1e-6));
    const uint64_t exact = values[std::max<size_t>(rank, 1) - 1];
    const uint64_t estimate = snapshot.Percentile(percent);
    EXPECT_GE(estimate, exact) << percent;
    EXPECT_LE(static_cast<double>(estimate), static_cast<double>(exact) * (1 + kErrorMax))
        << percent;
  }
  EXPECT_EQ(snapshot.count(), values.size());
  EXPECT_EQ(snapshot.max(), values.back());
}

TEST(HistogramSnapshot, AWeightCountsAsThatManyValues) {
  Histogram histogram;
  histogram.Add(10, 99);
  histogram.Add(5000);
  const HistogramSnapshot snapshot(histogram);
  EXPECT_EQ(snapshot.count(), 100u);
  EXPECT_EQ(snapshot.sum(), 99u * 10 + 5000);
  EXPECT_EQ(snapshot.Percentile(99), 10u);
  EXPECT_EQ(snapshot.Percentile(99.9), 5000u);
  EXPECT_DOUBLE_EQ(snapshot.Mean(), 59.9);
}

TEST(HistogramSnapshot, OfNothingIsZero) {
  const HistogramSnapshot snapshot;
  EXPECT_EQ(snapshot.count(), 0u);
  EXPECT_EQ(snapshot.Percentile(99.99), 0u);
  EXPECT_EQ(snapshot.Mean(), 0.0);
}

TEST(HistogramSnapshot, MergingEqualsCountingTogether) {
  const std::vector<uint64_t> left = {1, 40, 5000, 70'000};
  const std::vector<uint64_t> right = {2, 40, 900'000'000};
  std::vector<uint64_t> both = left;
  both.insert(both.end(), right.begin(), right.end());
  HistogramSnapshot merged(*Make(left));
  merged.Merge(HistogramSnapshot(*Make(right)));
  const HistogramSnapshot expected(*Make(both));
  EXPECT_EQ(merged.buckets(), expected.buckets());
  EXPECT_EQ(merged.count(), expected.count());
  EXPECT_EQ(merged.sum(), expected.sum());
  EXPECT_EQ(merged.max(), expected.max());
}

TEST(HistogramSnapshot, ADifferenceHasOnlyWhatCameInBetween) {
  Histogram histogram;
  histogram.Add(1'000'000'000);
  const HistogramSnapshot before(histogram);
  histogram.Add(1000);
  histogram.Add(3000, 2);
  const HistogramSnapshot since = HistogramSnapshot(histogram).Since(before);
  EXPECT_EQ(since.count(), 3u);
  EXPECT_EQ(since.sum(), 7000u);
  EXPECT_LE(since.max(), 3000 * (1 + kErrorMax));
  EXPECT_EQ(since.Percentile(100), since.max());
}

TEST(HistogramSnapshot, AHistogramThatBeganAnewCountsWhole) {
  const HistogramSnapshot before(*Make({10, 10, 10}));
  EXPECT_EQ(HistogramSnapshot(*Make({10})).Since(before).count(), 1u);
}

TEST(HistogramSnapshot, CountsOnlyBucketsThatEndBelowTheBound) {
  const HistogramSnapshot snapshot(*Make({900, 1000, 1001, 5000}));
  EXPECT_EQ(snapshot.CountUpTo(HistogramShape::UpperBound(HistogramShape::BucketOf(1001))), 3u);
  EXPECT_EQ(snapshot.CountUpTo(500), 0u);
  EXPECT_EQ(snapshot.CountUpTo(UINT64_MAX), 4u);
}

TEST(Histogram, AReaderSeesCountsThatOnlyGrow) {
  const auto histogram = std::make_unique<Histogram>();
  constexpr uint64_t kValues = 300'000;
  std::thread writer([&] {
    for (uint64_t i = 0; i < kValues; ++i) histogram->Add(i % 5000, 1 + i % 2);
  });
  HistogramSnapshot before;
  while (before.count() < kValues * 3 / 2) {
    const HistogramSnapshot now(*histogram);
    ASSERT_GE(now.count(), before.count());
    for (size_t i = 0; i < now.buckets().size(); ++i) {
      ASSERT_GE(now.buckets()[i], before.buckets()[i]);
    }
    ASSERT_LE(now.Percentile(100), 4999u);
    before = now;
  }
  writer.join();
  EXPECT_EQ(before.count(), kValues * 3 / 2);
}

}  // namespace
}  // namespace ringmaster
