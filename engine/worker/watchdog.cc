#include "engine/worker/watchdog.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include <cstring>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "engine/base/log.h"
#include "engine/connection/connection.h"
#include "engine/connection/connection_id.h"
#include "engine/stats/shared_status.h"
#include "engine/worker/worker.h"

namespace ringmaster {
namespace {

// A thread that runs, or sleeps where signals reach it, takes far less.
constexpr Duration kSamplePatience = std::chrono::milliseconds(200);
constexpr Duration kMinute = std::chrono::minutes(1);

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

Watchdog::Watchdog(const Worker& worker, LoopPulse& pulse, Counter& stalls, Options options)
    : worker_(worker),
      pulse_(pulse),
      stalls_(stalls),
      options_(std::move(options)),
      detector_(options_.report_after, options_.replace_after),
      sampler_(::pthread_self(), [this] {
        const Connection* const connection = worker_.delivering();
        connection_id_ = connection == nullptr ? 0 : connection->id();
        if (connection != nullptr) peer_ = connection->PeerNow();
      }) {
  // At once: who hears that the worker is ready may look at its pulse.
  pulse_.watchdog_at.store(MonotonicNow());
  // A thread inherits its creator's mask, and no signal can come in between.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
  pulse_.watchdog_at.store(0);
  pulse_.turn_began_at.store(0);
}

void Watchdog::Run() {
  ::prctl(PR_SET_NAME, "watchdog");
  cpu_set_t everywhere;
  std::memset(&everywhere, 0xFF, sizeof(everywhere));
  ::sched_setaffinity(0, sizeof(everywhere), &everywhere);
  Duration overslept{};
  while (true) {
    const TimePoint now = MonotonicNow();
    pulse_.watchdog_at.store(now, std::memory_order_relaxed);
    const StallDetector::Verdict verdict =
        detector_.Look(pulse_.turn_began_at.load(std::memory_order_relaxed), now, overslept);
    if (verdict.ended && stall_logged_) {
      log::Get().warn("the turn that held the loop is over, it lasted {:.2f} s",
                      Seconds(verdict.lasted));
    }
    if (!verdict.stuck) stuck_logged_ = false;
    if (verdict.stalled) OnStalled(verdict.lasted);
    if (verdict.stuck) OnStuck(verdict.lasted);
    overslept = Sleep(verdict.pause);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (ending_) return;
  }
}

Duration Watchdog::Sleep(Duration pause) {
  const TimePoint begin = MonotonicNow();
  std::unique_lock<std::mutex> lock(mutex_);
  wake_.wait_for(lock, pause, [this] { return ending_; });
  return Duration(MonotonicNow() - begin) - pause;
}

void Watchdog::OnStalled(Duration lasted) {
  stalls_.Add();
  stall_logged_ = MayLogStack();
  if (!stall_logged_) return;
  log::Get().warn("a handler has held the loop for {:.2f} s", Seconds(lasted));
  LogStack();
}

// Logged before it is asked for: the master kills at once.
void Watchdog::OnStuck(Duration lasted) {
  if (!options_.on_stuck) return;
  if (!stuck_logged_) {
    stuck_logged_ = true;
    log::Get().error(
        "a handler has held the loop for {:.2f} s, longer than handler_kill_timeout: the master "
        "replaces this worker",
        Seconds(lasted));
    LogStack();
  }
  if (options_.on_stuck()) detector_.ToldStuck();
}

void Watchdog::LogStack() {
  if (!sampler_.Take(kSamplePatience)) {
    log::Get().warn(
        "no stack: the loop's thread does not answer a signal (asleep in the kernel, see "
        "/proc/PID/wchan)");
    return;
  }
  if (connection_id_ != 0) {
    log::Get().warn("it serves connection {} from {}", FormatConnectionId(connection_id_),
                    peer_.ToString());
  }
  for (size_t i = 0; i < sampler_.frame_count(); ++i) {
    log::Get().warn("  #{:<2} {}", i, sampler_.Describe(i));
  }
}

bool Watchdog::MayLogStack() {
  const TimePoint now = MonotonicNow();
  if (now - minute_began_at_ >= kMinute.count()) {
    if (stacks_left_out_ > 0) {
      log::Get().warn("{} further stalls were counted and not logged", stacks_left_out_);
    }
    minute_began_at_ = now;
    stacks_this_minute_ = 0;
    stacks_left_out_ = 0;
  }
  if (stacks_this_minute_ < kStacksPerMinuteMax) {
    ++stacks_this_minute_;
    return true;
  }
  ++stacks_left_out_;
  return false;
}

}  // namespace ringmaster
