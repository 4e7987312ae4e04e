#include "engine/limits/rate_buckets.h"

#include <gtest/gtest.h>

namespace ringmaster {
namespace {

constexpr TimePoint kSecond = 1'000'000'000;

TEST(RateBuckets, KeepsOneBucketForEachLimit) {
  const RateLimit listener{.per_second = 1, .burst = 2};
  const RateLimit route{.per_second = 1, .burst = 1};
  const RateLimit other_route = route;
  RateBuckets buckets;
  EXPECT_TRUE(buckets.Take(listener, kSecond).allowed());
  EXPECT_TRUE(buckets.Take(route, kSecond).allowed());
  EXPECT_FALSE(buckets.Take(route, kSecond).allowed());
  EXPECT_TRUE(buckets.Take(other_route, kSecond).allowed());
  EXPECT_TRUE(buckets.Take(listener, kSecond).allowed());
  const RateVerdict refused = buckets.Take(listener, kSecond + kSecond / 4);
  EXPECT_EQ(refused.wait, std::chrono::milliseconds(750));
  EXPECT_FALSE(refused.hammering);
  EXPECT_TRUE(buckets.Take(listener, 2 * kSecond).allowed());
}

TEST(RateBuckets, CallsItHammeringAfterTenBurstsOfRefusalsInARow) {
  const RateLimit rate{.per_second = 1, .burst = 2};
  RateBuckets buckets;
  TimePoint now = kSecond;
  EXPECT_TRUE(buckets.Take(rate, now).allowed());
  EXPECT_TRUE(buckets.Take(rate, now).allowed());
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(buckets.Take(rate, now).hammering) << i;
  // One that is allowed begins a new row.
  now += kSecond;
  EXPECT_TRUE(buckets.Take(rate, now).allowed());
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(buckets.Take(rate, now).hammering) << i;
  EXPECT_TRUE(buckets.Take(rate, now).hammering);
  EXPECT_TRUE(buckets.Take(rate, now).hammering);
}

}  // namespace
}  // namespace ringmaster
