#include "engine/connection/own_bounds.h"

#include <algorithm>
#include <iterator>
#include <new>

#include "engine/base/check.h"
#include "engine/connection/connection.h"
#include "engine/connection/send_queue.h"
#include "engine/worker/worker.h"

// Bounds that change while a connection lives: options of another route, timeouts set from code.
// What is armed follows at once: the wait for an item is counted from its begin, the read timeout
// from the last activity, the lifetime from the accept. A stuck send keeps the write timeout it was
// armed with; the next one has the new.

namespace ringmaster {

OwnBounds& Connection::Own() {
  if (own_ == nullptr) {
    own_ = std::make_unique<OwnBounds>();
    own_->shared = options_;
  }
  return *own_;
}

void Connection::SetOptions(const StreamOptions& options) {
  if (own_ != nullptr && own_->options != nullptr) {
    // Given our own back ("as they are"), there is nothing to merge.
    if (&options != own_->options.get()) own_->shared = &options;
    MergeOwnTimeouts();
  } else {
    options_ = &options;
    if (own_ != nullptr) own_->shared = &options;
  }
  ApplyBounds();
}

const StreamOptions& Connection::shared_options() const {
  return own_ == nullptr ? *options_ : *own_->shared;
}

// *shared, and over it what code has set.
void Connection::MergeOwnTimeouts() {
  const Timeouts set = own_->options->timeouts;
  *own_->options = *own_->shared;
  for (size_t i = 0; i < std::size(kTimeoutMembers); ++i) {
    if ((own_->timeouts_set >> i & 1) == 0) continue;
    own_->options->timeouts.*kTimeoutMembers[i] = set.*kTimeoutMembers[i];
  }
}

Timeouts& Connection::OwnTimeouts() {
  OwnBounds& own = Own();
  if (own.options == nullptr) {
    own.options = std::make_unique<StreamOptions>(*own.shared);
    options_ = own.options.get();
  }
  return own.options->timeouts;
}

void Connection::SetTimeout(Duration Timeouts::*timeout, Duration duration) {
  const auto* const member =
      std::find(std::begin(kTimeoutMembers), std::end(kTimeoutMembers), timeout);
  CHECK(member != std::end(kTimeoutMembers));
  OwnTimeouts().*timeout = duration;
  own_->timeouts_set |= 1u << (member - std::begin(kTimeoutMembers));
  ApplyOwnTimeouts();
}

void Connection::SetTimeouts(const Timeouts& timeouts) {
  OwnTimeouts() = timeouts;
  own_->timeouts_set = (1u << std::size(kTimeoutMembers)) - 1;
  ApplyOwnTimeouts();
}

void Connection::ResetTimeouts() {
  if (own_ == nullptr || own_->options == nullptr) return;
  options_ = own_->shared;
  own_->options.reset();
  own_->timeouts_set = 0;
  ApplyOwnTimeouts();
}

// What code sets for this connection holds for what is queued already, too.
void Connection::ApplyOwnTimeouts() {
  if (queue_ != nullptr) queue_->write_timeout = options_->timeouts.write;
  ApplyBounds();
}

void Connection::ApplyBounds() {
  if (wait_ != Wait::kNone && state_ == State::kOpen) {
    item_deadline_ = DeadlineAfter(item_began_at_, WaitTimeout(wait_));
  }
  UpdateRated();
  FollowLifetime();
  PullInReadDeadline();
}

void Connection::FollowLifetime() {
  const bool over = state_ != State::kOpen && state_ != State::kConnecting;
  const TimePoint deadline = DeadlineAfter(opened_at_, options_->timeouts.lifetime);
  const TimePoint current = own_ == nullptr ? kNever : own_->lifetime_deadline;
  if (over || deadline == current) return;
  Own().lifetime_deadline = deadline;
  ArmOwnTimer();
}

void Connection::BoundGoodbye() {
  const Duration courtesy = options_->timeouts.close;
  if (state_ != State::kFlushing || courtesy.count() <= 0) return;
  try {
    Own().goodbye_deadline = DeadlineAfter(worker_->now(), courtesy);
    ArmOwnTimer();
  } catch (const std::bad_alloc&) {
    Abort(close_reason_);  // no goodbye without a bound
  }
}

void Connection::ArmOwnTimer() {
  CancelOwnTimer();
  const TimePoint deadline = std::min(own_->lifetime_deadline, own_->goodbye_deadline);
  if (deadline == kNever) return;
  own_->timer = worker_->AddTimer(Duration(deadline - worker_->now()), Duration::zero(),
                                  [worker = worker_, id = id_] {
                                    if (Connection* found = worker->Find(id)) found->OnOwnTimer();
                                  });
}

void Connection::CancelOwnTimer() {
  if (own_ == nullptr || own_->timer == 0) return;
  worker_->CancelTimer(own_->timer);
  own_->timer = 0;
}

void Connection::OnOwnTimer() {
  own_->timer = 0;
  if (own_->goodbye_deadline <= worker_->now()) {
    Abort(close_reason_);
    return;
  }
  own_->lifetime_deadline = kNever;
  switch (state_) {
    case State::kOpen:
      Expire(CloseReason::kLifetime);
      return;
    case State::kFlushing:
      // A peer that takes a byte now and then could stretch this.
      CutShort(CloseReason::kLifetime);
      return;
    case State::kLingering:  // all was said; how it ended is known
      BeginClosing();
      return;
    default:
      Abort(CloseReason::kLifetime);
  }
}

}  // namespace ringmaster
