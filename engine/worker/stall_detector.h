#pragma once

#include <algorithm>

#include "engine/base/time.h"

namespace ringmaster {

// Decides when a turn of the loop has lasted too long, from looks at LoopPulse::turn_began_at.
// Pure: the watchdog's thread brings the clock.
//
//   waiting ─ look again after report_after: no turn that begins meanwhile can be due earlier
//   a turn  ─ due at its begin + report_after ─ stalled, once ─ looked at often ─ ended
//                                                └ + replace_after: stuck, until TellStuck
class StallDetector {
 public:
  // The longest pause between two looks: whoever reads the pulse expects one that often.
  static constexpr Duration kPauseMax = std::chrono::seconds(1);
  // A sleep that lasted this much longer than it should was a stopped process (SIGSTOP, a frozen
  // control group, a debugger) or a machine at its end: that time is not the handler's.
  static constexpr Duration kOversleptMin = std::chrono::milliseconds(500);

  // 0 = never.
  StallDetector(Duration report_after, Duration replace_after)
      : report_after_(report_after), replace_after_(replace_after) {}

  struct Verdict {
    bool stalled = false;  // for the first time in this turn
    bool stuck = false;    // past replace_after
    bool ended = false;    // a turn that had stalled is over
    Duration lasted{};     // of the turn that one of these is about
    Duration pause{};      // until the next look
  };

  // `turn_began_at` 0 = the loop waits. `overslept`: how much longer than asked for the caller
  // slept before this look.
  Verdict Look(TimePoint turn_began_at, TimePoint now, Duration overslept) {
    Verdict verdict;
    if (turn_began_at != turn_) {
      if (stalled_) {
        verdict.ended = true;
        verdict.lasted = Lasted(now);
      }
      turn_ = turn_began_at;
      stalled_ = false;
      stuck_told_ = false;
      not_ours_ = 0;
    }
    if (overslept >= kOversleptMin && turn_ != 0) {
      // At most what the turn has lasted: it may have begun behind the stop.
      not_ours_ += std::min<int64_t>(overslept.count(), Lasted(now).count());
    }
    if (turn_ == 0) {
      verdict.pause = Bounded(report_after_ > Duration::zero() ? report_after_ : kPauseMax);
      return verdict;
    }
    const Duration lasted = Lasted(now);
    if (!stalled_ && report_after_ > Duration::zero() && lasted >= report_after_) {
      stalled_ = true;
      verdict.stalled = true;
      verdict.lasted = lasted;
    }
    if (!stuck_told_ && replace_after_ > Duration::zero() && lasted >= replace_after_) {
      verdict.stuck = true;
      verdict.lasted = lasted;
    }
    verdict.pause = Bounded(stalled_                           ? OftenEnough()
                            : report_after_ > Duration::zero() ? report_after_ - lasted
                                                               : kPauseMax);
    return verdict;
  }

  // The master knows of the turn that is stuck.
  void ToldStuck() { stuck_told_ = true; }

 private:
  Duration Lasted(TimePoint now) const {
    return Duration(std::max<int64_t>(0, now - turn_ - not_ours_));
  }
  // Of a turn that has stalled: its end is known to a twentieth of report_after.
  Duration OftenEnough() const {
    return std::clamp<Duration>(report_after_ / 20, std::chrono::milliseconds(5),
                                std::chrono::milliseconds(100));
  }
  Duration Bounded(Duration pause) const {
    Duration max = kPauseMax;
    if (replace_after_ > Duration::zero()) max = std::min(max, replace_after_ / 2);
    return std::clamp<Duration>(pause, std::chrono::milliseconds(1),
                                std::max<Duration>(max, std::chrono::milliseconds(1)));
  }

  const Duration report_after_;
  const Duration replace_after_;
  TimePoint turn_ = 0;  // that was seen last; a turn is named by its begin
  int64_t not_ours_ = 0;
  bool stalled_ = false;
  bool stuck_told_ = false;
};

}  // namespace ringmaster
