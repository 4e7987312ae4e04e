#pragma once

#include <cstdint>
#include <deque>

#include "engine/ring/ring.h"
#include "engine/server.h"

namespace ringmaster {

class Worker;

// One listening socket of one worker: a multishot accept, armed while there is room behind the
// door.
//
//   kArmed ── limit reached ──▶ kCancelling ─▶ kClosed ── a connection left ──▶ kArmed
//     │                                          ▲
//     ├── EMFILE, ENOBUFS, ... ─▶ kBackingOff ───┼── after a while ─▶ kArmed     (accept_rearm.cc)
//     └── Stop ─▶ kCancelling ─▶ kStopped ◀──────┘
//
// A cancelled accept loses nothing: what it accepted before its last completion is taken in, what
// it did not stays queued in the kernel. The descriptor belongs to the master; it is never closed
// here.
class Listener {
 public:
  Listener(Worker& worker, uint32_t index, int fd, const ListenerDefinition& definition);

  void Arm();
  void OnAccept(const Completion& completion);
  void OnCancelDone() { cancel_in_flight_ = false; }
  // A connection was released: there may be room again.
  void OnRoom();
  void Stop();

  bool stopped() const {
    return state_ == State::kStopped && !cancel_in_flight_ && parked_fds_.empty();
  }
  const ListenerDefinition& definition() const { return definition_; }

 private:
  enum class State : uint8_t { kIdle, kArmed, kCancelling, kClosed, kBackingOff, kStopped };

  void Take(int fd);
  void Cancel();
  void OnEnded(int32_t result);
  // accept_rearm.cc
  static bool IsShortage(int32_t result);
  void BackOff(int32_t result);

  Worker& worker_;
  const uint32_t index_;
  const int fd_;
  const ListenerDefinition& definition_;
  State state_ = State::kIdle;
  bool cancel_in_flight_ = false;
  bool stopping_ = false;
  // Accepted in the same batch that reached the limit: they wait here, with no connection
  // allocated, so that the limit is exact and nothing is refused.
  std::deque<int> parked_fds_;
};

}  // namespace ringmaster
