#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "engine/base/stack_sampler.h"
#include "engine/connection/address.h"
#include "engine/stats/counters.h"
#include "engine/stats/loop_pulse.h"
#include "engine/worker/stall_detector.h"

namespace ringmaster {

class Worker;

// A thread beside the loop that notices when a handler holds it. A turn that lasts longer than
// handler_timeout is counted, and the loop's stack is logged while it is stuck; the end of that
// turn is logged with its duration. Past handler_kill_timeout, `on_stuck` is called: the master
// replaces the worker. A handler cannot be interrupted in any other way.
//
// The loop pays two plain stores a turn and two a delivery (Worker::delivering()); the thread wakes
// about once a second. It blocks every signal, so that none is delivered here that was meant for
// the loop, and may run on any CPU, so that a handler that spins on the worker's own does not hold
// it.
class Watchdog {
 public:
  struct Options {
    Duration report_after{};   // ServerOptions::handler_timeout
    Duration replace_after{};  // ServerOptions::handler_kill_timeout
    // On the watchdog's thread. False: the message did not go, call again.
    absl::AnyInvocable<bool()> on_stuck;
    bool enabled() const {
      return report_after > Duration::zero() || replace_after > Duration::zero();
    }
  };

  // On the loop's thread, which also ends it: before the worker's parts go. `worker` and `pulse`
  // outlive it.
  Watchdog(const Worker& worker, LoopPulse& pulse, Counter& stalls, Options options);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Stacks in the log are for people: one a turn, and at most so many a minute. Stalls are counted
  // whatever is logged.
  static constexpr uint32_t kStacksPerMinuteMax = 10;

 private:
  void Run();
  // Returns how much longer than `pause` it slept; the caller looks whether ending_ was set.
  Duration Sleep(Duration pause);
  void OnStalled(Duration lasted);
  void OnStuck(Duration lasted);
  void LogStack();
  bool MayLogStack();

  const Worker& worker_;
  LoopPulse& pulse_;
  Counter& stalls_;
  Options options_;
  StallDetector detector_;

  // Of the delivery under way, filled on the loop's thread together with the stack.
  uint64_t connection_id_ = 0;  // 0 = none: a timer, a posted task, the engine itself
  PeerAddress peer_;
  StackSampler sampler_;

  TimePoint minute_began_at_ = 0;
  uint32_t stacks_this_minute_ = 0;
  uint64_t stacks_left_out_ = 0;
  bool stall_logged_ = false;
  bool stuck_logged_ = false;  // of the request for a replacement that is being made

  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread thread_;  // last: runs when everything else stands
};

}  // namespace ringmaster
