// The watchdog on a real loop, on a thread of its own in this process.

#include "engine/worker/watchdog.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>

#include "engine/base/log.h"
#include "engine/ring/kernel_ring.h"
#include "engine/stats/shared_status.h"
#include "engine/worker/worker.h"

namespace ringmaster {
namespace {

using std::chrono::milliseconds;
constexpr Duration kPatience = std::chrono::seconds(30);
// Longer than a busy machine makes a turn that does nothing.
constexpr Duration kLong = milliseconds(200);

std::atomic<bool> release_the_loop{false};

[[gnu::noinline]] uint64_t SpinForTheWatchdog() {
  uint64_t rounds = 0;
  while (!release_the_loop.load(std::memory_order_relaxed)) ++rounds;
  return rounds;
}

[[gnu::noinline]] int SleepForTheWatchdog() {
  // In libc and in the kernel, where no frame pointer leads out of.
  int sleeps = 0;
  while (!release_the_loop.load()) {
    const timespec pause = {0, 20'000'000};
    ::nanosleep(&pause, nullptr);
    ++sleeps;
  }
  return sleeps;
}

[[gnu::noinline]] ssize_t ReadForTheWatchdog(int fd) {
  char byte = 0;
  return ::read(fd, &byte, 1);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool Eventually(const std::function<bool()>& condition) {
  const TimePoint end = MonotonicNow() + kPatience.count();
  while (!condition()) {
    if (MonotonicNow() > end) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

class WatchdogTest : public testing::Test {
 protected:
  WatchdogTest() {
    char name[] = "/tmp/ringmaster-watchdog-XXXXXX";
    directory_ = ::mkdtemp(name);
    log_file_ = directory_ + "/log";
    EXPECT_TRUE(log::Setup("info", "text", log_file_, "test").ok());
    release_the_loop = false;
  }
  ~WatchdogTest() override {
    static_cast<void>(log::Setup("info", "text", "", "test"));
    std::filesystem::remove_all(directory_);
  }

  // Runs a worker on a thread of its own and `story` on this one.
  void Run(Duration report_after, Duration replace_after,
           const std::function<void(Worker&)>& story) {
    std::atomic<Worker*> started{nullptr};
    std::thread loop([&] {
      WorkerEnvironment environment;
      environment.counters = &counters_;
      environment.pulse = &pulse_;
      auto ring = KernelRing::Create({});
      ASSERT_TRUE(ring.ok()) << ring.status();
      Worker worker(server_, environment, *std::move(ring));
      worker.Start();
      Watchdog::Options options;
      options.report_after = report_after;
      options.replace_after = replace_after;
      options.on_stuck = [this] { return ++stuck_count_ >= stuck_answered_from_; };
      Watchdog watchdog(worker, pulse_, counters_.handler_stalls, std::move(options));
      started = &worker;
      while (worker.Turn()) {
      }
    });
    ASSERT_TRUE(Eventually([&] { return started.load() != nullptr; }));
    Worker& worker = *started.load();
    story(worker);
    release_the_loop = true;
    worker.Post([&worker] { worker.Stop(); });
    loop.join();
    EXPECT_EQ(pulse_.watchdog_at.load(), 0);
  }

  uint64_t stalls() const { return counters_.handler_stalls.Get(); }
  std::string log() const { return ReadFile(log_file_); }
  bool AwaitLog(const std::string& text) const {
    return Eventually([&] { return log().find(text) != std::string::npos; });
  }

  std::string directory_;
  std::string log_file_;
  ServerDefinition server_;
  WorkerCounters counters_;
  LoopPulse pulse_;
  std::atomic<int> stuck_count_{0};
  int stuck_answered_from_ = 1;
};

TEST_F(WatchdogTest, ShowsWhereAHandlerSpinsWhileItSpins) {
  Run(kLong, Duration::zero(), [&](Worker& worker) {
    worker.Post([] { SpinForTheWatchdog(); });
    EXPECT_TRUE(AwaitLog("SpinForTheWatchdog")) << log();
    EXPECT_EQ(log().find("is over"), std::string::npos) << "the end was logged while it spins";
    EXPECT_TRUE(AwaitLog("ringmaster::Worker::RunPosted()")) << log();
    release_the_loop = true;
    EXPECT_TRUE(AwaitLog("the turn that held the loop is over, it lasted 0.")) << log();
  });
  EXPECT_EQ(stalls(), 1u);
  EXPECT_EQ(stuck_count_.load(), 0);
}

TEST_F(WatchdogTest, ShowsWhereAHandlerSleepsInTheKernel) {
  Run(kLong, Duration::zero(), [&](Worker& worker) {
    worker.Post([] { SleepForTheWatchdog(); });
    EXPECT_TRUE(AwaitLog("SleepForTheWatchdog")) << log();
    EXPECT_TRUE(AwaitLog("ringmaster::Worker::RunPosted()")) << log();
  });
}

TEST_F(WatchdogTest, DoesNotBreakTheSystemCallThatItInterrupts) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::atomic<ssize_t> result{-2};
  Run(kLong, Duration::zero(), [&](Worker& worker) {
    worker.Post([&] { result = ReadForTheWatchdog(ends[0]); });
    EXPECT_TRUE(AwaitLog("ReadForTheWatchdog")) << log();
    EXPECT_EQ(result.load(), -2) << "the read ended with the signal";
    EXPECT_EQ(::write(ends[1], "x", 1), 1);
    EXPECT_TRUE(Eventually([&] { return result.load() != -2; }));
  });
  EXPECT_EQ(result.load(), 1);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(WatchdogTest, ReportsEachStalledTurnOnce) {
  Run(kLong, Duration::zero(), [&](Worker& worker) {
    worker.Post([] { SpinForTheWatchdog(); });
    EXPECT_TRUE(Eventually([&] { return stalls() == 1; }));
    EXPECT_TRUE(AwaitLog("#0"));
    // Many looks later it is still the same turn.
    const int64_t looked_at = pulse_.watchdog_at.load();
    EXPECT_TRUE(
        Eventually([&] { return pulse_.watchdog_at.load() > looked_at + 2 * kLong.count(); }));
    EXPECT_EQ(stalls(), 1u);
    release_the_loop = true;
    EXPECT_TRUE(AwaitLog("is over"));
    release_the_loop = false;
    worker.Post([] { SpinForTheWatchdog(); });
    EXPECT_TRUE(Eventually([&] { return stalls() == 2; }));
  });
}

TEST_F(WatchdogTest, AsksForAReplacementUntilItIsHeard) {
  stuck_answered_from_ = 3;
  Run(kLong, 2 * kLong, [&](Worker& worker) {
    worker.Post([] { SpinForTheWatchdog(); });
    EXPECT_TRUE(AwaitLog("longer than handler_kill_timeout")) << log();
    EXPECT_TRUE(Eventually([&] { return stuck_count_.load() == 3; }));
    const int64_t looked_at = pulse_.watchdog_at.load();
    EXPECT_TRUE(Eventually([&] { return pulse_.watchdog_at.load() > looked_at + kLong.count(); }));
    EXPECT_EQ(stuck_count_.load(), 3);
  });
}

TEST_F(WatchdogTest, SaysNothingOfAnIdleLoop) {
  Run(kLong, 2 * kLong, [&](Worker&) {
    const int64_t looked_at = pulse_.watchdog_at.load();
    EXPECT_TRUE(
        Eventually([&] { return pulse_.watchdog_at.load() > looked_at + 2 * kLong.count(); }));
  });
  EXPECT_EQ(stalls(), 0u);
  EXPECT_EQ(stuck_count_.load(), 0);
}

// People read the log; a handler that is slow at every call must not fill the disk.
TEST_F(WatchdogTest, BoundsWhatItLogsButCountsEverything) {
  constexpr uint64_t kStalls = Watchdog::kStacksPerMinuteMax + 3;
  Run(milliseconds(10), Duration::zero(), [&](Worker& worker) {
    for (uint64_t i = 1; i <= kStalls; ++i) {
      release_the_loop = false;
      worker.Post([] { SpinForTheWatchdog(); });
      ASSERT_TRUE(Eventually([&] { return stalls() >= i; }));
      release_the_loop = true;
      ASSERT_TRUE(Eventually([&] { return pulse_.turn_began_at.load() == 0; }));
    }
  });
  uint64_t stacks = 0;
  const std::string text = log();
  for (size_t at = text.find("has held the loop"); at != std::string::npos;
       at = text.find("has held the loop", at + 1)) {
    ++stacks;
  }
  EXPECT_EQ(stacks, Watchdog::kStacksPerMinuteMax);
}

// Only what this process queues is ours: anybody may send SIGURG.
TEST_F(WatchdogTest, IgnoresTheSignalFromOthers) {
  Run(milliseconds(1000), Duration::zero(), [&](Worker& worker) {
    ::kill(::getpid(), SIGURG);
    std::atomic<bool> raised{false};
    worker.Post([&] { raised = ::raise(SIGURG) == 0; });
    EXPECT_TRUE(Eventually([&] { return raised.load(); }));
  });
  EXPECT_EQ(stalls(), 0u);
}

}  // namespace
}  // namespace ringmaster
