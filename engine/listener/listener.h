#pragma once

#include <cstdint>
#include <deque>

#include "engine/listener/arrival.h"
#include "engine/listener/unlinked_receives.h"
#include "engine/ring/ring.h"
#include "engine/server.h"

namespace ringmaster {

class Worker;

// One listening socket of one worker: a multishot accept, armed while there is room behind the
// door (door.h).
//
//   kArmed ── limit reached ──▶ kCancelling ─▶ kClosed ── there is room again ──▶ kArmed
//     │                                          ▲
//     ├── EMFILE, ENOBUFS, ... ─▶ kBackingOff ───┼── after a while ─▶ kArmed     (accept_rearm.cc)
//     └── Stop ─▶ kCancelling ─▶ kStopped ◀──────┘
//
// A cancelled accept loses nothing: what it accepted before its last completion is taken in, what
// it did not stays queued in the kernel. The descriptor belongs to the master; it is never closed
// here.
//
// With AtLimit::kRefuse accept stays armed, and who finds no room is refused.
//
// Room in this worker is told by OnRoom. Room that another worker makes (limits of listener and
// server are shared) is looked for every kRecheck while somebody waits for it: workers cannot hear
// of each other without a descriptor from each to each, a worker that is killed tells nobody, and a
// timer costs nothing while nobody waits. A worker that makes room while others wait looks at that
// pace too, so that its own queue does not always come first.
class Listener {
 public:
  // `position`: among the worker's sockets, which completions name; `index`: of the definition, of
  // which there may be several sockets.
  Listener(Worker& worker, uint32_t position, uint32_t index, int fd,
           const ListenerDefinition& definition);

  void Arm();
  void OnAccept(const Completion& completion);
  void OnCancelDone() { cancel_in_flight_ = false; }
  // A connection of this worker was released: there may be room again.
  void OnRoom() {
    if (waiting_for_ != Refusal::kNone) LookForRoom();
  }
  // The worker is asked for more than it can do, or not any more: accepting pauses or goes on, and
  // the kernel's queue is as long as QueueTimeGate says while it pauses.
  void OnGate();
  // Accepts no more. What was accepted comes in, whatever the limits say.
  void Stop();
  // Accepts no more, since another worker does. What was accepted comes in when there is room, as
  // before.
  void Yield();
  // Accepts again, after Yield or Stop has come to its end. One that accepts already looks into the
  // queue: where another worker accepted from the same socket until now, the kernel may have told
  // only that one of who waits there. It wakes one accept for a connection, also one that is being
  // cancelled.
  void Resume();

  bool stopped() const {
    return state_ == State::kStopped && !cancel_in_flight_ && parked_.empty();
  }
  bool yielded() const { return state_ == State::kStopped && !cancel_in_flight_; }
  bool anybody_waits() const { return !parked_.empty(); }
  const ListenerDefinition& definition() const { return definition_; }
  uint32_t index() const { return index_; }
  UnlinkedReceives& unlinked_receives() { return unlinked_receives_; }

  // 10 ms: a client that waits does not notice, and a hundred looks a second are nothing to a
  // worker that is full.
  static constexpr Duration kRecheck = std::chrono::milliseconds(10);

 private:
  enum class State : uint8_t { kIdle, kArmed, kCancelling, kClosed, kBackingOff, kStopped };

  void Take(int fd);
  void Cancel();
  void StopAccepting();
  // Lets in who waits, arms accept again, as far as there is room.
  void LetIn();
  void LookForRoom();
  void RecheckLater();
  void SetWaitingFor(Refusal limit);
  void OnEnded(int32_t result);
  // accept_rearm.cc
  static bool IsShortage(int32_t result);
  void BackOff(int32_t result);

  Worker& worker_;
  const uint32_t position_;
  const uint32_t index_;
  const int fd_;
  const ListenerDefinition& definition_;
  State state_ = State::kIdle;
  bool cancel_in_flight_ = false;
  bool stopping_ = false;  // Yield or Stop
  bool yielding_ = false;  // Yield
  bool recheck_set_ = false;
  uint32_t backlog_;  // of the socket now
  // The limit that those who wait, here or in the kernel, are waiting for.
  Refusal waiting_for_ = Refusal::kNone;
  // Accepted in the same batch that reached the limit: they wait here, judged and with no
  // connection allocated, so that the limit is exact and nobody who may come in is refused.
  std::deque<Arrival> parked_;
  UnlinkedReceives unlinked_receives_;
};

}  // namespace ringmaster
