#include "engine/limits/rate_buckets.h"

#include <gtest/gtest.h>

#include "tests/engine/time_points.h"

namespace ringmaster {
namespace {

TEST(RateBuckets, KeepsOneBucketForEachLimit) {
  const RateLimit listener{.per_second = 1, .burst = 2};
  const RateLimit route{.per_second = 1, .burst = 1};
  const RateLimit other_route = route;
  RateBuckets buckets;
  EXPECT_EQ(buckets.Take(listener, kSecond), Duration::zero());
  EXPECT_EQ(buckets.Take(route, kSecond), Duration::zero());
  EXPECT_EQ(buckets.Take(route, kSecond), std::chrono::seconds(1));
  EXPECT_EQ(buckets.Take(other_route, kSecond), Duration::zero());
  EXPECT_EQ(buckets.Take(listener, kSecond), Duration::zero());
  EXPECT_EQ(buckets.Take(listener, kSecond + kSecond / 4), std::chrono::milliseconds(750));
  EXPECT_EQ(buckets.Take(listener, 2 * kSecond), Duration::zero());
}

TEST(RateBuckets, CallItHammeringAfterTenBurstsOfRefusalsInARow) {
  const RateLimit rate{.per_second = 1, .burst = 2};
  RateBuckets buckets;
  for (int row = 0; row < 2; ++row) {
    for (int i = 0; i < 20; ++i) {
      const RateVerdict verdict = buckets.Judge(rate, Duration(7));
      EXPECT_FALSE(verdict.allowed());
      EXPECT_EQ(verdict.wait, Duration(7));
      EXPECT_FALSE(verdict.hammering) << i;
    }
    // One that is allowed begins a new row.
    EXPECT_TRUE(buckets.Judge(rate, Duration::zero()).allowed());
  }
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(buckets.Judge(rate, Duration(7)).hammering) << i;
  EXPECT_TRUE(buckets.Judge(rate, Duration(7)).hammering);
  EXPECT_TRUE(buckets.Judge(rate, Duration(7)).hammering);
}

}  // namespace
}  // namespace ringmaster
