#pragma once

#include <chrono>

#include "engine/base/time.h"

namespace ringmaster {

// How long what has happened waits inside the kernel before the worker hears of it. One enter runs
// only so many pieces of completion work (kernel 6.13+: 20, or as many as are waited for); what is
// behind them queues, and nothing in the ring tells. So a busy worker sends itself a wake-up now
// and then, which queues like everything else, and looks whether it arrives.
//
//   if (probe.WantsToAsk(now, busy)) { write(wake_fd, ...); probe.Asked(now); }
//   ... the wake-up completes: probe.Answered(now);
//   if (probe.Late(now)) ...          // take everything in with the next enter
//
// `now` is the turn's. A pure state machine. Worker thread only.
class QueueProbe {
 public:
  static constexpr Duration kAskEvery = std::chrono::milliseconds(5);
  static constexpr Duration kLate = std::chrono::milliseconds(10);

  // Not in the turn of an answer: what waits for the wake-up is armed again at its end, and would
  // find it at once.
  bool WantsToAsk(TimePoint now, bool busy) const {
    return busy && !waiting_ && now != answered_at_ && now - asked_at_ >= kAskEvery.count();
  }
  void Asked(TimePoint now) {
    asked_at_ = now;
    waiting_ = true;
  }
  void Answered(TimePoint now) {
    answered_at_ = now;
    waiting_ = false;
  }
  bool Late(TimePoint now) const { return waiting_ && now - asked_at_ >= kLate.count(); }

 private:
  TimePoint asked_at_ = 0;
  TimePoint answered_at_ = 0;
  bool waiting_ = false;
};

}  // namespace ringmaster
