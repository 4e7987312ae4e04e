#include "engine/limits/shared_limits.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/time_points.h"

namespace ringmaster {
namespace {

class SharedLimitsTest : public testing::Test {
 protected:
  SharedLimitsTest() {
    for (int i = 0; i < 2; ++i) server_.Listen(ListenerDefinition());
    server_.options.connections_max = 1;
  }
  std::unique_ptr<SharedLimits> Create(uint32_t worker_count) {
    auto limits = SharedLimits::Create(server_, worker_count);
    EXPECT_TRUE(limits.ok()) << limits.status();
    return *std::move(limits);
  }
  ServerDefinition server_;
};

TEST_F(SharedLimitsTest, AreNeededOnlyWhereALimitIsSet) {
  EXPECT_TRUE(SharedLimits::NeededBy(server_));
  server_.options.connections_max = 0;
  EXPECT_FALSE(SharedLimits::NeededBy(server_));
  server_.options.accept_rate.per_second = 1;
  EXPECT_TRUE(SharedLimits::NeededBy(server_));
  server_.options.accept_rate.per_second = 0;
  server_.options.address.request_rate.per_second = 1;
  EXPECT_TRUE(SharedLimits::NeededBy(server_));
  server_.options.address.request_rate.per_second = 0;
  server_.listeners()[1]->connections_max = 1;
  EXPECT_TRUE(SharedLimits::NeededBy(server_));
  server_.listeners()[1]->connections_max = 0;
  server_.listeners()[1]->accept_rate.per_second = 1;
  EXPECT_TRUE(SharedLimits::NeededBy(server_));
}

TEST_F(SharedLimitsTest, AWorkerMapsWhatItsMasterMade) {
  server_.options.address.connections_max = 1;
  const auto master = Create(2);
  const auto worker = SharedLimits::Map(UniqueFd(dup(master->fd())), server_);
  ASSERT_TRUE(worker.ok()) << worker.status();
  EXPECT_EQ((*worker)->worker_count(), 2u);
  EXPECT_TRUE((*worker)->Enter(SharedLimits::ListenerGate(1), 5, 1));
  EXPECT_EQ(master->count(SharedLimits::ListenerGate(1)), 1u);
  EXPECT_EQ(master->count(SharedLimits::ListenerGate(0)), 0u);
  PeerAddress peer;
  peer.family = AF_INET;
  Counter full;
  const auto theirs = (*worker)->Addresses(1, full);
  const auto ours = master->Addresses(0, full);
  theirs->Admit(peer, kSecond);
  EXPECT_EQ(ours->CountForTest(peer), 1u) << "both have the secret";
  EXPECT_TRUE(master->TakeBack(1));
  EXPECT_EQ(master->count(SharedLimits::ListenerGate(1)), 0u);
  EXPECT_EQ(ours->CountForTest(peer), 0u);
}

TEST_F(SharedLimitsTest, AnotherDefinitionsLimitsAreRefused) {
  const auto master = Create(2);
  server_.Listen(ListenerDefinition());
  const auto worker = SharedLimits::Map(UniqueFd(dup(master->fd())), server_);
  ASSERT_FALSE(worker.ok());
  EXPECT_EQ(worker.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SharedLimitsTest, AGateHoldsItsMaximumExactlyUnderThreads) {
  constexpr uint32_t kWorkers = 4;
  constexpr int kMax = 10;
  const auto limits = Create(kWorkers);
  std::atomic<int> inside = 0;
  std::atomic<bool> exceeded = false;
  std::atomic<int> full_count = 0;
  std::vector<std::thread> threads;
  for (uint32_t worker = 0; worker < kWorkers; ++worker) {
    threads.emplace_back([&, worker] {
      std::mt19937_64 random(worker);
      int mine = 0;
      for (int i = 0; i < 200'000; ++i) {
        if (random() % 2 == 0) {
          if (limits->Enter(SharedLimits::kServerGate, kMax, worker)) {
            if (inside.fetch_add(1) >= kMax) exceeded = true;
            ++mine;
          } else {
            ++full_count;
          }
        } else if (mine > 0) {
          inside.fetch_sub(1);
          limits->Leave(SharedLimits::kServerGate, worker);
          --mine;
        }
      }
      for (; mine > 0; --mine) {
        inside.fetch_sub(1);
        limits->Leave(SharedLimits::kServerGate, worker);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(exceeded);
  EXPECT_GT(full_count, 0);
  EXPECT_EQ(limits->count(SharedLimits::kServerGate), 0u);
}

TEST_F(SharedLimitsTest, WorkersKilledAtAnyMomentLeaveExactCounts) {
  const auto limits = Create(3);
  const auto spawn = [&](uint32_t worker) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    int entered[3] = {};
    for (uint64_t i = 0;; ++i) {
      const uint32_t gate = i % 3;
      if (i % 7 < 4) {
        entered[gate] += limits->Enter(gate, 0, worker);
      } else if (entered[gate] > 0) {
        limits->Leave(gate, worker);
        --entered[gate];
      }
    }
  };
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(limits->Enter(SharedLimits::kServerGate, 0, 2));
  pid_t pids[2] = {spawn(0), spawn(1)};
  std::mt19937_64 random(1);
  for (int round = 0; round < 100; ++round) {
    const auto victim = static_cast<uint32_t>(random() % 2);
    const timespec pause = {0, static_cast<long>(random() % 1'000'000)};
    nanosleep(&pause, nullptr);
    kill(pids[victim], SIGKILL);
    waitpid(pids[victim], nullptr, 0);
    ASSERT_TRUE(limits->TakeBack(victim));
    pids[victim] = spawn(victim);
  }
  for (const pid_t pid : pids) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  limits->TakeBack(0);  // false where the other died in the middle of the same gate
  EXPECT_TRUE(limits->TakeBack(1));
  EXPECT_EQ(limits->count(SharedLimits::kServerGate), 5u);
  EXPECT_EQ(limits->count(1), 0u);
  EXPECT_EQ(limits->count(2), 0u);
}

TEST_F(SharedLimitsTest, WhoWaitsIsSeenByTheOthersUntilItDies) {
  const auto limits = Create(3);
  EXPECT_FALSE(limits->OthersWait(1, 0));
  limits->AddWaiting(1, 2, 1);
  limits->AddWaiting(1, 2, 1);
  EXPECT_TRUE(limits->OthersWait(1, 0));
  EXPECT_FALSE(limits->OthersWait(1, 2)) << "itself is no other";
  EXPECT_FALSE(limits->OthersWait(0, 0)) << "another gate";
  limits->AddWaiting(1, 2, -1);
  EXPECT_TRUE(limits->OthersWait(1, 0)) << "a second listener of it still waits";
  EXPECT_TRUE(limits->TakeBack(2));
  EXPECT_FALSE(limits->OthersWait(1, 0));
}

TEST_F(SharedLimitsTest, ARateCountsTheNewConnectionsOfAllWorkers) {
  const auto limits = Create(2);
  const Gcra rate({.per_second = 1, .burst = 3});
  int allowed = 0;
  for (int i = 0; i < 9; ++i) allowed += limits->AllowNew(1, rate, kSecond);
  EXPECT_EQ(allowed, 3);
  EXPECT_TRUE(limits->AllowNew(2, rate, kSecond)) << "each gate has its own";
  EXPECT_TRUE(limits->AllowNew(1, rate, 2 * kSecond));
  EXPECT_FALSE(limits->AllowNew(1, rate, 2 * kSecond));
}

}  // namespace
}  // namespace ringmaster
