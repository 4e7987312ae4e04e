#pragma once

#include <cstdint>

#include "engine/base/tick_clock.h"
#include "engine/stats/counters.h"

namespace ringmaster {

// Where the time of a worker's turn goes, as three histograms:
//
//   handler_time  of one request or message: the session's call divided by the messages that it
//   gave
//                 to handlers, parsing included, since pipelined messages come in one call. An
//                 answer that a handler gives later is not in it.
//   queue_time    of one request or message: from the beginning of the turn to that call, while
//                 other connections had theirs
//   turn_time     of one turn, from the end of its wait to the beginning of the next
//
// The clock is read about once per call, not per message: a call begins when the one before ended,
// unless something else ran in between (Interrupt). Worker thread only.
class TurnTimings {
 public:
  // `counters` outlive the object.
  TurnTimings(bool on, WorkerCounters& counters) : on_(kCountersOn && on), counters_(counters) {
    if (on_) clock_ = TickClock::Get();
  }

  void OnTurnBegan() {
    if (!on_) return;
    turn_began_ = last_ = clock_.Now();
    interrupted_ = false;
  }
  // Something that is no message took time.
  void Interrupt() { interrupted_ = true; }
  void OnDeliveryBegins() {
    if (!on_ || !interrupted_) return;
    last_ = clock_.Now();
    interrupted_ = false;
  }
  // `messages` were given to handlers since OnDeliveryBegins.
  void OnDelivered(uint64_t messages) {
    if (!on_) return;
    const uint64_t now = clock_.Now();
    if (messages > 0) {
      const uint64_t elapsed = clock_.Between(last_, now);
      counters_.handler_time.Add(messages == 1 ? elapsed : elapsed / messages, messages);
      counters_.queue_time.Add(clock_.Between(turn_began_, last_), messages);
    }
    last_ = now;
  }
  void OnTurnEnded() {
    if (on_) counters_.turn_time.Add(clock_.Between(turn_began_, clock_.Now()));
  }

 private:
  const bool on_;
  bool interrupted_ = false;
  WorkerCounters& counters_;
  TickClock clock_;
  uint64_t turn_began_ = 0;
  uint64_t last_ = 0;  // the clock when the call before ended
};

}  // namespace ringmaster
