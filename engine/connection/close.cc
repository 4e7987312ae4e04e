#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/connection/connection.h"
#include "engine/connection/guard.h"
#include "engine/connection/operation.h"
#include "engine/connection/send_queue.h"
#include "engine/ring/ring.h"
#include "engine/worker/worker.h"

// The way out. Nothing is freed before its last completion: kClosing arms nothing, shutdown(2)
// makes armed operations complete, and the worker releases the slot at the end of a turn with none
// in flight.

namespace ringmaster {

void Connection::CloseAfterFlush(CloseReason reason, Linger linger) {
  if (state_ == State::kConnecting) {
    Abort(reason);
    return;
  }
  if (state_ != State::kOpen) return;
  close_reason_ = reason;
  linger_ = linger;
  state_ = State::kFlushing;
  ClearWait();
  if (!flush_scheduled_) worker_->ScheduleFlush(*this);
}

// The receive is ended first: it may hold what came just now.
void Connection::CloseWhenQuiet(CloseReason reason) {
  if (state_ != State::kOpen) return;
  quiet_reason_ = reason;
  if (receive_armed_) {
    StopReceive();
  } else {
    LookWhetherQuiet();
  }
}

void Connection::LookWhetherQuiet() {
  const CloseReason reason = std::exchange(quiet_reason_, CloseReason::kNone);
  if (state_ != State::kOpen || remainder_ != nullptr || ring().HasInput(fd_)) return;
  CloseAfterFlush(reason, Linger::kYes);
}

void Connection::AfterFlushed() {
  if (linger_ == Linger::kNo || input_ended_) {
    BeginClosing();
    return;
  }
  state_ = State::kLingering;
  ring().Shutdown(fd_, SHUT_WR);
  wait_ = Wait::kClose;
  item_began_at_ = worker_->now();
  item_deadline_ = DeadlineAfter(item_began_at_, options_->timeouts.close);
  PullInReadDeadline();
  UpdateReceiving();
}

void Connection::Abort(CloseReason reason) {
  if (state_ == State::kClosing || state_ == State::kFree) return;
  if (close_reason_ == CloseReason::kNone) close_reason_ = reason;
  BeginClosing();
}

void Connection::Kill() {
  if (state_ != State::kOpen) {
    Abort(CloseReason::kKilled);
    return;
  }
  Guard([&] { session_->OnKilled(*this); });
  // The session's way out, if it took one; a handler that threw has its own.
  if (state_ == State::kOpen) Abort(CloseReason::kKilled);
  BoundGoodbye();
}

void Connection::CutShort(CloseReason reason) {
  // Counted as what the peer made of it, not as the end that was meant.
  if (close_reason_ == CloseReason::kLocal || close_reason_ == CloseReason::kPeerClosed) {
    close_reason_ = reason;
  }
  Abort(reason);
}

void Connection::OnPeerError(int error) {
  Abort(error == ENOMEM ? CloseReason::kNoMemory : CloseReason::kPeerReset);
}

// What the engine itself needed for this connection could not be allocated.
void Connection::OnNoMemory() { Abort(CloseReason::kNoMemory); }

void Connection::BeginClosing() {
  if (state_ == State::kClosing) return;
  const bool connecting = state_ == State::kConnecting;
  state_ = State::kClosing;
  // The kernel would keep what the peer does not take, megabytes of it, for as long as the peer
  // answers its window probes.
  if (queue_ != nullptr && !queue_->empty()) ring().DiscardUnsent(fd_);
  if (connecting) {
    ++in_flight_;
    ring().SubmitCancel(Tag(kOperationConnect), Tag(kOperationCancel));
  } else if (receive_armed_ || send_in_flight_ || moving_) {
    // Completes the receive with 0 and a stuck send with -EPIPE; close(2) alone would leave both
    // armed on a socket that nobody owns any more. Another process may have it already.
    ring().Shutdown(fd_, SHUT_RDWR);
  }
  worker_->ListForClose(*this);
}

void Connection::NotifyClosed() {
  if (closed_told_) return;
  closed_told_ = true;
  worker_->counters().closed_by_reason[static_cast<int>(close_reason_)].Add();
  if (session_ == nullptr) return;
  const Worker::Delivering delivering(*worker_, *this);
  try {
    session_->OnClosed(*this, close_reason_);
  } catch (const std::exception& exception) {
    worker_->counters().handler_exceptions.Add();
    log::Get().error("a close handler threw: {}", exception.what());
  } catch (...) {
    worker_->counters().handler_exceptions.Add();
    log::Get().error("a close handler threw");
  }
  session_.reset();
  SetHeldBytes(0, 0);
}

void Connection::OnHandlerException(const char* what) {
  worker_->counters().handler_exceptions.Add();
  log::Get().error("a handler threw, its connection closes: {}", what);
  if (state_ == State::kClosing) return;
  try {
    session_->OnException(*this, what);
  } catch (...) {
    // The goodbye failed too; the connection closes without one.
  }
  CloseAfterFlush(CloseReason::kHandlerError, Linger::kYes);
}

}  // namespace ringmaster
