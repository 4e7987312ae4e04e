#include <algorithm>
#include <cerrno>
#include <new>

#include "engine/base/check.h"
#include "engine/connection/connection.h"
#include "engine/connection/guard.h"
#include "engine/connection/operation.h"
#include "engine/connection/send_queue.h"
#include "engine/ring/ring.h"
#include "engine/worker/worker.h"

// The deadlines of the receiving side. The kernel enforces one of them: the linked timeout on the
// multishot receive. It is checked lazily. Activity only notes the time; when the timeout fires and
// the peer was active meanwhile, receive and timeout are armed again with the time that is left:
// exact, nothing lost, no cost per message. A nearer deadline (an item left incomplete) pulls the
// armed timeout in, once per item. A connection that has just come has no linked timeout yet
// (UnlinkedReceives).
//
// The write timeout is linked to the stuck send (send.cc), the connect timeout to the connect
// (outbound.cc), the lifetime is a timer of the worker (own_bounds.cc): it holds while nothing is
// received, too.

namespace ringmaster {
namespace {

// An armed timeout that is this much too late is left alone: pulling it in costs an SQE.
constexpr int64_t kPullInSlack = 1'000'000;

}  // namespace

Duration Connection::WaitTimeout(Wait wait) const {
  const Timeouts& timeouts = options_->timeouts;
  switch (wait) {
    case Wait::kNone:
      return Duration::zero();
    case Wait::kHandshake:
      return timeouts.handshake;
    case Wait::kHeader:
      return timeouts.header;
    case Wait::kBody:
      return timeouts.body;
    case Wait::kMessage:
      return timeouts.message;
    case Wait::kClose:
      return timeouts.close;
  }
  return Duration::zero();
}

void Connection::SetWait(Wait wait) {
  if (wait_ == wait) return;
  wait_ = wait;
  item_deadline_ = DeadlineAfter(worker_->now(), WaitTimeout(wait));
  item_began_at_ = worker_->now();
  item_began_bytes_ = bytes_received_;
  if (wait == Wait::kClose && (!receive_armed_ || receive_cancelled_)) BoundCloseByTimer();
  PullInReadDeadline();
}

void Connection::ClearWait() {
  if (wait_ == Wait::kNone) return;  // every whole message comes this way
  wait_ = Wait::kNone;
  item_deadline_ = kNever;
  // Usually the idle deadline is farther: the armed timeout stays, fires early at most once and is
  // then armed again with the time that is left.
  PullInReadDeadline();
}

void Connection::SetBusy(bool busy) {
  if (busy_ == busy) return;
  busy_ = busy;
  // The armed timeout is left as it is while busy: it fires once for nothing and is armed again
  // without.
  if (!busy) {
    last_activity_ = worker_->now();
    PullInReadDeadline();
  }
}

// When a body falls below its minimum rate if no further byte of it comes. Each byte moves it away,
// which costs nothing: it is computed when the armed timeout fires.
TimePoint Connection::BodyRateDeadline() const {
  const uint64_t rate = options_->body_rate_bytes_min;
  if (wait_ != Wait::kBody || rate == 0) return kNever;
  const auto came = static_cast<double>(bytes_received_ - item_began_bytes_);
  const double seconds = came / static_cast<double>(rate);
  // A body that is far ahead is bounded by its total alone; the cut keeps the sum within range.
  constexpr double kSecondsMax = 1e9;
  return item_began_at_ + options_->body_grace.count() +
         static_cast<int64_t>(std::min(seconds, kSecondsMax) * 1e9);
}

TimePoint Connection::ReadDeadline() const {
  const TimePoint rate_deadline = BodyRateDeadline();
  if (item_deadline_ != kNever) return std::min(item_deadline_, rate_deadline);
  if (state_ != State::kOpen || busy_) return rate_deadline;
  const Duration read = options_->timeouts.read;
  const bool probe_next = idle_probe_ && !probe_sent_;
  return std::min(DeadlineAfter(last_activity_, probe_next ? read / 2 : read), rate_deadline);
}

CloseReason Connection::ReadDeadlineReason() const {
  const TimePoint rate_deadline = BodyRateDeadline();
  if (rate_deadline < item_deadline_ && rate_deadline <= worker_->now()) {
    return CloseReason::kBodyRate;
  }
  return item_deadline_ == kNever ? CloseReason::kReadTimeout : ItemDeadlineReason();
}

CloseReason Connection::ItemDeadlineReason() const {
  switch (wait_) {
    case Wait::kHandshake:
      return CloseReason::kHandshakeTimeout;
    case Wait::kHeader:
      return CloseReason::kHeaderTimeout;
    case Wait::kBody:
      return CloseReason::kBodyTimeout;
    case Wait::kMessage:
      return CloseReason::kMessageTimeout;
    case Wait::kClose:
      return CloseReason::kCloseTimeout;
    case Wait::kNone:
      break;
  }
  return CloseReason::kReadTimeout;
}

void Connection::PullInReadDeadline() {
  if (!receive_armed_ || receive_cancelled_) return;
  const TimePoint deadline = ReadDeadline();
  if (deadline >= armed_deadline_ - kPullInSlack) return;
  if (armed_deadline_ == kNever || receive_unlinked_) {
    // No timeout is linked that could be moved: end this receive, OnReceiveEnded arms the next with
    // one.
    StopReceive();
    return;
  }
  armed_deadline_ = deadline;
  ++in_flight_;
  ring().SubmitUpdateLinkedTimeout(Tag(kOperationReceiveTimeout), deadline,
                                   Tag(kOperationUpdateTimeout));
}

// The connection has stayed. Its receive ends, and OnReceiveEnded arms the next with a timeout.
void Connection::LinkReadDeadline() {
  if (!receive_armed_ || !receive_unlinked_ || state_ == State::kClosing) return;
  receive_unlinked_ = false;
  armed_deadline_ = kNever;
  PullInReadDeadline();
}

// -ENOENT: the timeout fired, or its receive ended, before the update came; that completion
// re-arms.
void Connection::OnUpdateTimeout(int32_t result) {
  CHECK(result != -EINVAL);
  --in_flight_;
}

void Connection::OnReadDeadline() {
  if (state_ == State::kLingering) {
    if (worker_->now() >= item_deadline_) BeginClosing();
    return;
  }
  if (state_ != State::kOpen) return;
  if (worker_->now() < ReadDeadline()) {
    worker_->counters().deadline_rearmed.Add();
    return;  // OnReceiveEnded arms again, with the time that is left
  }
  const CloseReason reason = ReadDeadlineReason();
  if (reason == CloseReason::kReadTimeout && queue_ != nullptr && !queue_->empty()) {
    // Our answer is still leaving; that is bounded by the write timeout.
    last_activity_ = worker_->now();
    return;
  }
  if (reason == CloseReason::kReadTimeout && idle_probe_ && !probe_sent_) {
    probe_sent_ = true;
    Guard([&] { session_->OnIdleProbe(*this); });
    return;
  }
  Expire(reason);
}

void Connection::Expire(CloseReason reason) {
  if (state_ != State::kOpen) return;
  if (reason == CloseReason::kCloseTimeout && output_bytes() > 0) {
    // The goodbye stands in the queue already and has had its time.
    Abort(reason);
    return;
  }
  Guard([&] { session_->OnTimeout(*this, reason); });
  CloseAfterFlush(reason);
  // The goodbye is a courtesy: a peer that reads a byte now and then must not stretch it with the
  // write timeout, which any progress restarts.
  BoundGoodbye();
}

// With no receive armed no linked timeout can end a closing handshake whose output the peer takes
// slowly; each byte it takes restarts the write timeout.
void Connection::BoundCloseByTimer() {
  if (item_deadline_ == kNever) return;
  const Duration left(item_deadline_ - worker_->now());
  try {
    worker_->AddTimer(left, Duration::zero(), [worker = worker_, id = id_] {
      Connection* const connection = worker->Find(id);
      if (connection == nullptr || connection->wait_ != Wait::kClose) return;
      if (worker->now() >= connection->item_deadline_) {
        connection->Expire(CloseReason::kCloseTimeout);
      }
    });
  } catch (const std::bad_alloc&) {
    OnNoMemory();
  }
}

}  // namespace ringmaster
