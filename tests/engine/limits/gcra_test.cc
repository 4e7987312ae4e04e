#include "engine/limits/gcra.h"

#include <atomic>
#include <cmath>
#include <deque>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/time_points.h"

namespace ringmaster {
namespace {

constexpr TimePoint kStart = 1'000 * kSecond;

// How many of `attempts` at one moment are allowed.
int Burst(const Gcra& gcra, int64_t& arrival, TimePoint now, int attempts) {
  int allowed = 0;
  for (int i = 0; i < attempts; ++i) allowed += gcra.Take(arrival, now) == Duration::zero();
  return allowed;
}

TEST(Gcra, AllowsTheBurstAtOnceAndThenTheRate) {
  const Gcra gcra({.per_second = 10, .burst = 4});
  int64_t arrival = 0;
  EXPECT_EQ(Burst(gcra, arrival, kStart, 100), 4);
  EXPECT_EQ(Burst(gcra, arrival, kStart + kSecond / 10 - 1, 100), 0);
  EXPECT_EQ(Burst(gcra, arrival, kStart + kSecond / 10, 100), 1);
  EXPECT_EQ(Burst(gcra, arrival, kStart + kSecond / 2, 100), 4);
  EXPECT_EQ(Burst(gcra, arrival, kStart + 100 * kSecond, 100), 4) << "a burst is saved up once";
}

TEST(Gcra, SaysHowLongUntilTheNextOne) {
  const Gcra gcra({.per_second = 4, .burst = 2});
  int64_t arrival = 0;
  Burst(gcra, arrival, kStart, 2);
  const Duration wait = gcra.Take(arrival, kStart + 1000);
  EXPECT_EQ(wait.count(), kSecond / 4 - 1000);
  EXPECT_GT(gcra.Take(arrival, kStart + 1000 + wait.count() - 1), Duration::zero());
  EXPECT_EQ(gcra.Take(arrival, kStart + 1000 + wait.count()), Duration::zero());
}

TEST(Gcra, WithoutABurstOneSecondsWorthIsAllowedAtOnce) {
  int64_t arrival = 0;
  EXPECT_EQ(Burst(Gcra({.per_second = 5}), arrival, kStart, 100), 5);
  arrival = 0;
  EXPECT_EQ(Burst(Gcra({.per_second = 0.01}), arrival, kStart, 100), 1);
}

TEST(Gcra, WithoutALimitEverythingIsAllowedAndNothingRemembered) {
  const Gcra gcra;
  int64_t arrival = 0;
  EXPECT_FALSE(gcra.limited());
  EXPECT_EQ(Burst(gcra, arrival, kStart, 1000), 1000);
  std::atomic<int64_t> shared = 0;
  EXPECT_EQ(gcra.Take(shared, kStart), Duration::zero());
  // Of a worker whose turn began earlier.
  EXPECT_EQ(gcra.Take(shared, kStart - kSecond), Duration::zero());
  EXPECT_EQ(arrival, 0);
  EXPECT_EQ(shared, 0);
}

TEST(Gcra, ExtremeRatesDoNotOverflow) {
  for (const double rate : {1e-12, 1e-3, 1e9, 1e12}) {
    for (const uint32_t burst : {1u, UINT32_MAX}) {
      const Gcra gcra({.per_second = rate, .burst = burst});
      int64_t arrival = 0;
      EXPECT_EQ(gcra.Take(arrival, kStart), Duration::zero()) << rate << " " << burst;
      for (int i = 0; i < 1000; ++i) {
        const Duration wait = gcra.Take(arrival, kStart);
        EXPECT_GE(wait.count(), 0);
        EXPECT_GE(arrival, 0);
      }
    }
  }
}

// In any span, not only from the start: at most burst + rate * t.
TEST(Gcra, NeverAllowsMoreThanBurstPlusRateTimesTimeInAnySpan) {
  std::mt19937_64 random(20261126);
  for (int round = 0; round < 40; ++round) {
    const double rate = std::exp(std::uniform_real_distribution<>(-1, 8)(random));
    const auto burst = static_cast<uint32_t>(1 + random() % 20);
    const Gcra gcra({.per_second = rate, .burst = burst});
    int64_t arrival = 0;
    TimePoint now = kStart;
    std::vector<TimePoint> allowed;
    for (int i = 0; i < 2000; ++i) {
      // Floods, trickles and pauses.
      const uint64_t kind = random() % 10;
      if (kind > 5)
        now += static_cast<TimePoint>(static_cast<double>(random() % 1000) * 2e6 / rate);
      if (kind == 9) now += static_cast<TimePoint>(1e10 / rate);
      if (gcra.Take(arrival, now) == Duration::zero()) allowed.push_back(now);
    }
    for (size_t first = 0; first < allowed.size(); ++first) {
      for (size_t last = first; last < std::min(allowed.size(), first + 3 * burst + 20); ++last) {
        const double span = static_cast<double>(allowed[last] - allowed[first]) / 1e9;
        ASSERT_LE(static_cast<double>(last - first + 1), burst + rate * span + 1e-6);
      }
    }
  }
}

TEST(Gcra, SharedByThreadsItAllowsExactlyWhatOneWould) {
  const Gcra gcra({.per_second = 1000, .burst = 500});
  std::atomic<int64_t> arrival = 0;
  for (int round = 0; round < 20; ++round) {
    // 250 ms later 250 are allowed again, but for the first round's whole burst.
    const TimePoint now = kStart + round * kSecond / 4;
    std::atomic<int> allowed = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int k = 0; k < 400; ++k) allowed += gcra.Take(arrival, now) == Duration::zero();
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(allowed, round == 0 ? 500 : 250);
  }
}

}  // namespace
}  // namespace ringmaster
