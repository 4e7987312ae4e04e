#include "engine/listener/listener.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "engine/base/check.h"
#include "engine/connection/operation.h"
#include "engine/listener/door.h"
#include "engine/worker/worker.h"

namespace ringmaster {

Listener::Listener(Worker& worker, uint32_t position, uint32_t index, int fd,
                   const ListenerDefinition& definition)
    : worker_(worker),
      position_(position),
      index_(index),
      fd_(fd),
      definition_(definition),
      backlog_(static_cast<uint32_t>(definition.backlog)),
      unlinked_receives_(worker, definition.stream.timeouts) {}

void Listener::Arm() {
  DCHECK(state_ != State::kArmed && state_ != State::kCancelling);
  state_ = State::kArmed;
  worker_.ring().SubmitAcceptMultishot(fd_, UserData(kOperationAccept, 0, position_));
}

void Listener::OnAccept(const Completion& completion) {
  if (completion.result >= 0) Take(completion.result);
  if (!completion.more()) OnEnded(completion.result);
}

void Listener::Take(int fd) {
  Door& door = worker_.door();
  Arrival arrival;
  arrival.fd = fd;
  arrival.listener = static_cast<uint16_t>(index_);
  if (const Refusal refusal = door.Judge(arrival); refusal != Refusal::kNone) {
    door.Refuse(arrival, refusal);
    return;
  }
  // Nobody overtakes who waits.
  Refusal full = parked_.empty() ? door.TakePlace(index_) : waiting_for_;
  if (full == Refusal::kNone) {
    worker_.AddAccepted(*this, arrival);
    if (definition_.at_limit == AtLimit::kWait) full = door.Room(index_);
  } else if (definition_.at_limit == AtLimit::kRefuse && (!stopping_ || yielding_)) {
    door.Refuse(arrival, full);
    return;
  } else {
    try {
      parked_.push_back(arrival);
      worker_.counters().accept_held_limit.Add();
    } catch (const std::bad_alloc&) {
      if (AddressTable* addresses = worker_.addresses()) addresses->Leave(arrival.address);
      worker_.RefuseForMemory(fd);
    }
  }
  if (full == Refusal::kNone) return;
  SetWaitingFor(full);
  if (state_ == State::kArmed) Cancel();
}

void Listener::Cancel() {
  state_ = State::kCancelling;
  cancel_in_flight_ = true;
  worker_.ring().SubmitCancel(UserData(kOperationAccept, 0, position_),
                              UserData(kOperationAcceptCancel, 0, position_));
}

void Listener::OnEnded(int32_t result) {
  // Our own misuse; arming again would spin.
  CHECK(result != -EBADF && result != -EINVAL && result != -ENOTSOCK && result != -EOPNOTSUPP);
  if (stopping_) {
    state_ = State::kStopped;
    LetIn();
  } else if (IsShortage(result)) {
    BackOff(result);
  } else {
    // Cancelled at the limit, or ended by the kernel for reasons of its own (a full completion
    // queue, a connection that was reset while queued): arm again as soon as there is room.
    state_ = State::kClosed;
    LetIn();
  }
}

void Listener::LookForRoom() {
  if ((!stopping_ || yielding_) && worker_.door().OthersWait(index_, waiting_for_)) {
    RecheckLater();
  } else {
    LetIn();
  }
}

void Listener::LetIn() {
  Door& door = worker_.door();
  Refusal full = Refusal::kNone;
  while (!parked_.empty()) {
    if (stopping_ && !yielding_) {
      door.TakePlaceAnyway(index_);
    } else {
      full = door.TakePlace(index_);
    }
    if (full != Refusal::kNone) break;
    const Arrival arrival = parked_.front();
    parked_.pop_front();
    worker_.AddAccepted(*this, arrival);
  }
  if (state_ == State::kClosed && full == Refusal::kNone && !worker_.gate().closed()) {
    // With kRefuse whoever finds no room is told so, which takes an armed accept.
    if (definition_.at_limit == AtLimit::kWait) full = door.Room(index_);
    if (full == Refusal::kNone) Arm();
  }
  SetWaitingFor(full);
  if (Door::IsShared(full)) RecheckLater();
}

void Listener::OnGate() {
  // Short while it is not accepted from. Else accept takes all of it at once, and before it has, a
  // queue longer than its backlog would turn away who comes that moment: for a second, until they
  // try again.
  uint32_t backlog = static_cast<uint32_t>(definition_.backlog);
  if (worker_.gate().closed()) backlog = std::min(backlog, worker_.gate().backlog());
  // A unix socket's queue is shared by all workers, and a full one refuses instead of waiting.
  if (!definition_.address.is_unix() && backlog != backlog_) {
    backlog_ = backlog;
    worker_.ring().SetBacklog(fd_, backlog);
  }
  if (stopping_) return;
  if (worker_.gate().closed()) {
    if (state_ == State::kArmed) Cancel();
  } else {
    LetIn();
  }
}

void Listener::SetWaitingFor(Refusal limit) {
  if (limit == waiting_for_) return;
  worker_.door().AddWaiting(index_, waiting_for_, -1);
  worker_.door().AddWaiting(index_, limit, 1);
  waiting_for_ = limit;
}

void Listener::RecheckLater() {
  if (recheck_set_) return;
  try {
    worker_.AddTimer(kRecheck, Duration::zero(), [this] {
      recheck_set_ = false;
      LetIn();
    });
    recheck_set_ = true;
  } catch (const std::bad_alloc&) {
    // Room made in this worker is told anyway; room elsewhere is looked for the next time.
  }
}

void Listener::Resume() {
  if (!stopping_) {
    // Armed again it looks first.
    if (state_ == State::kArmed) Cancel();
    return;
  }
  stopping_ = false;
  yielding_ = false;
  // Else the accept is being cancelled: OnEnded goes on from there.
  if (state_ != State::kStopped) return;
  state_ = State::kClosed;
  LetIn();
}

void Listener::Yield() {
  if (stopping_) return;
  yielding_ = true;
  StopAccepting();
}

void Listener::Stop() {
  if (std::exchange(yielding_, false)) LetIn();
  if (!stopping_) StopAccepting();
}

void Listener::StopAccepting() {
  stopping_ = true;
  if (state_ == State::kArmed) {
    Cancel();
  } else if (state_ != State::kCancelling) {
    state_ = State::kStopped;
    LetIn();
  }
}

}  // namespace ringmaster
