#include "engine/listener/listener.h"

#include <unistd.h>

#include <cerrno>
#include <new>

#include "engine/base/check.h"
#include "engine/connection/operation.h"
#include "engine/worker/worker.h"

namespace ringmaster {

Listener::Listener(Worker& worker, uint32_t index, int fd, const ListenerDefinition& definition)
    : worker_(worker), index_(index), fd_(fd), definition_(definition) {}

void Listener::Arm() {
  DCHECK(state_ != State::kArmed && state_ != State::kCancelling);
  state_ = State::kArmed;
  worker_.ring().SubmitAcceptMultishot(fd_, UserData(kOperationAccept, 0, index_));
}

void Listener::OnAccept(const Completion& completion) {
  if (completion.result >= 0) Take(completion.result);
  if (!completion.more()) OnEnded(completion.result);
}

void Listener::Take(int fd) {
  if (!parked_fds_.empty() || worker_.AtConnectionLimit()) {
    try {
      parked_fds_.push_back(fd);
      worker_.counters().accept_held_limit.Add();
    } catch (const std::bad_alloc&) {
      worker_.RefuseForMemory(fd);
    }
  } else {
    worker_.AddAccepted(*this, fd);
  }
  if (state_ == State::kArmed && worker_.AtConnectionLimit()) Cancel();
}

void Listener::Cancel() {
  state_ = State::kCancelling;
  cancel_in_flight_ = true;
  worker_.ring().SubmitCancel(UserData(kOperationAccept, 0, index_),
                              UserData(kOperationAcceptCancel, 0, index_));
}

void Listener::OnEnded(int32_t result) {
  // Our own misuse; arming again would spin.
  CHECK(result != -EBADF && result != -EINVAL && result != -ENOTSOCK && result != -EOPNOTSUPP);
  if (stopping_) {
    state_ = State::kStopped;
    OnRoom();
  } else if (IsShortage(result)) {
    BackOff(result);
  } else {
    // Cancelled at the limit, or ended by the kernel for reasons of its own (a full completion
    // queue, a connection that was reset while queued): arm again as soon as there is room.
    state_ = State::kClosed;
    OnRoom();
  }
}

void Listener::OnRoom() {
  while (!parked_fds_.empty() && (stopping_ || !worker_.AtConnectionLimit())) {
    const int fd = parked_fds_.front();
    parked_fds_.pop_front();
    worker_.AddAccepted(*this, fd);
  }
  if (state_ == State::kClosed && !worker_.AtConnectionLimit()) Arm();
}

void Listener::Stop() {
  stopping_ = true;
  if (state_ == State::kArmed) {
    Cancel();
  } else if (state_ != State::kCancelling) {
    state_ = State::kStopped;
    OnRoom();
  }
}

}  // namespace ringmaster
