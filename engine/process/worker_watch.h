#pragma once

#include <algorithm>

#include "engine/base/time.h"

namespace ringmaster {

// The master's own look at a worker that cannot speak for itself: the whole process was stopped, or
// its watchdog hangs too. The sign of life is LoopPulse::watchdog_at. The master wakes for this
// about once per `silence_max` and worker, nothing more.
//
// Silence is found twice, kConfirm apart, before it counts: when the master itself was stopped (a
// terminal's Ctrl-Z, a frozen control group), it may wake before its workers.
class WorkerWatch {
 public:
  static constexpr Duration kConfirm = std::chrono::seconds(1);

  // ServerOptions::handler_kill_timeout; 0 = off. A watchdog speaks once a second, so a shorter
  // silence says nothing.
  explicit WorkerWatch(Duration silence_max)
      : silence_max_(silence_max.count() <= 0 ? Duration::zero()
                                              : std::max<Duration>(silence_max, kConfirm)) {}

  void Begin(TimePoint now) {
    if (silence_max_ > Duration::zero()) deadline_ = now + silence_max_.count();
  }
  void End() { deadline_ = kNever; }
  TimePoint deadline() const { return deadline_; }

  // True: nothing was heard for silence_max. `watchdog_at` 0: it has no watchdog, or is leaving.
  bool Silent(TimePoint watchdog_at, TimePoint now) {
    if (now < deadline_) return false;
    if (watchdog_at == 0) {
      End();
      return false;
    }
    if (now - watchdog_at < silence_max_.count()) {
      deadline_ = watchdog_at + silence_max_.count();
      suspected_at_ = 0;
      return false;
    }
    if (suspected_at_ != watchdog_at) {
      suspected_at_ = watchdog_at;
      deadline_ = now + kConfirm.count();
      return false;
    }
    return true;
  }

 private:
  Duration silence_max_;
  TimePoint deadline_ = kNever;
  TimePoint suspected_at_ = 0;  // the sign of life that was found too old
};

}  // namespace ringmaster
