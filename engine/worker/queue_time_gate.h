#pragma once

#include <cstdint>

#include "engine/base/time.h"

namespace ringmaster {

// Keeps the time that new connections wait for their first answer bounded when more come than the
// worker can serve. Without it every accepted connection joins one queue, the queue grows for as
// long as the overload lasts, and in the end every answer is too late: all work is done for clients
// that have given up (measured at twice the capacity: a third to a half of it reached anybody
// within a second, see bench/README.md).
//
// While first bytes are delivered promptly the gate is open and costs nothing. Once they have
// waited for an eighth of `queue_time_max` it closes: the worker stops accepting, serves what it
// has taken in, and then opens again for about as many as it can serve in a fifth of
// queue_time_max. The others wait in the kernel's queue, which is shortened to that number
// meanwhile; beyond it the kernel drops their SYN at a cost of nearly nothing, and they try again.
// Who has waited twice queue_time_max all the same is refused, unless there are few.
//
//               first bytes waited >= close_above
//     open ──────────────────────────────────────────▶ closed
//       ▲            idle, or reopen_after has passed      │
//       └──────────────────────────────────────────────────┘
//
// A pure state machine: no clock, no descriptor. Worker thread only.
class QueueTimeGate {
 public:
  // `queue_time_max` 0 = off: always open, nothing is refused. `backlog_max` is the listeners' own.
  QueueTimeGate(Duration queue_time_max, uint32_t backlog_max);

  enum class Verdict : uint8_t { kServe, kRefuse };

  // Whether the wait of this first delivery shall be measured: one in kSampleEvery while the gate
  // is open, each while overload lasts. Asked for first deliveries of busy turns only.
  bool WantsSample();
  // The first bytes of a connection are delivered at `now`, `waited` after they arrived.
  Verdict OnFirstDelivery(TimePoint now, Duration waited);
  // A turn of the loop ended. `idle`: it delivered no first bytes, and none wait.
  void OnTurn(TimePoint now, bool idle);

  bool closed() const { return closed_; }
  // From the first closing until a second after the last.
  bool overloaded() const { return overloaded_; }
  // How long the kernel's queue may be now.
  uint32_t backlog() const { return backlog_; }

  static constexpr uint32_t kSampleEvery = 8;
  static constexpr uint32_t kBacklogMin = 16;

 private:
  void Close(TimePoint now);
  void Open(TimePoint now);

  const Duration queue_time_max_;
  const uint32_t backlog_max_;
  uint32_t backlog_;
  uint32_t until_sample_ = kSampleEvery;
  bool closed_ = false;
  bool overloaded_ = false;
  TimePoint closed_at_ = 0;
  TimePoint opened_at_ = 0;
  uint32_t served_since_opened_ = 0;
};

}  // namespace ringmaster
