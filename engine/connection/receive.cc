#include <cerrno>
#include <new>

#include "engine/base/check.h"
#include "engine/connection/connection.h"
#include "engine/connection/guard.h"
#include "engine/connection/operation.h"
#include "engine/connection/remainder.h"
#include "engine/connection/send_queue.h"
#include "engine/listener/unlinked_receives.h"
#include "engine/ring/ring.h"
#include "engine/worker/worker.h"

// The receiving side: one multishot receive per connection, one lazily re-armed linked timeout on
// it. Bytes arrive in a provided buffer, go to the session in place, and the buffer goes home in
// the same call; only what the session did not consume is copied.

namespace ringmaster {

void Connection::SubmitReceive(TimePoint linked_deadline) {
  DCHECK(!receive_armed_ && !starved_);
  receive_armed_ = true;
  ++in_flight_;
  ring().SubmitRecvMultishot(fd_, Tag(kOperationReceive),
                             {linked_deadline, Tag(kOperationReceiveTimeout)});
}

void Connection::ArmReceive() {
  receive_unlinked_ = false;
  armed_deadline_ = ReadDeadline();
  SubmitReceive(armed_deadline_);
}

// The first receive of a connection that was accepted now, without its timeout for a while.
void Connection::ReceiveUnlinked(UnlinkedReceives& unlinked) {
  if (!WantsReceive()) return;
  const int64_t window = unlinked.window().count();
  const TimePoint deadline = ReadDeadline();
  // With none it has nothing to wait for, with a near one no time.
  if (deadline == kNever || deadline - worker_->now() < 2 * window || !unlinked.Add(*this)) return;
  receive_unlinked_ = true;
  armed_deadline_ = worker_->now() + window;
  SubmitReceive(kNever);
}

void Connection::StopReceive() {
  if (!receive_armed_ || receive_cancelled_) return;
  if (output_paused_) worker_->counters().receive_paused.Add();
  receive_cancelled_ = true;
  // Who lingers receives on, with a linked timeout.
  if (wait_ == Wait::kClose && state_ != State::kLingering) BoundCloseByTimer();
  ++in_flight_;
  ring().SubmitCancel(Tag(kOperationReceive), Tag(kOperationCancel));
}

void Connection::OnReceive(const Completion& completion) {
  if (completion.has_buffer()) {
    ReceivedBuffer& received = worker_->received();
    received = {ring().BufferOf(completion), completion.buffer_id(), false};
    if (!received.bytes.empty()) Deliver(received.bytes);
    // Leased: output that stands in it leaves at the end of the turn, and the queue returns it.
    if (!received.leased) ring().ReturnBuffer(completion.buffer_id());
    received = {};
  }
  if (!completion.more()) {
    receive_armed_ = false;
    --in_flight_;
    OnReceiveEnded(completion.result);
  }
}

void Connection::OnReceiveEnded(int32_t result) {
  worker_->timings().Interrupt();
  const bool cancelled_by_us = receive_cancelled_;
  receive_cancelled_ = false;
  if (result == 0) {
    input_ended_ = true;
    if (state_ == State::kLingering) {
      // The peer has finished too: nothing more to wait for.
      BeginClosing();
    } else if (state_ == State::kOpen) {
      DeliverInputEnd();
    }
  } else if (result == -ECANCELED && !cancelled_by_us) {
    if (state_ != State::kClosing) OnReadDeadline();
  } else if (result == -ENOBUFS) {
    worker_->counters().receive_starved.Add();
    // A receive that keeps finding no buffer never lives to see its linked timeout.
    if (worker_->now() >= item_deadline_) OnReadDeadline();
    if (state_ != State::kClosing) worker_->AddStarved(*this);
  } else if (result < 0 && result != -ECANCELED) {
    OnPeerError(-result);
  }
  if (quiet_reason_ != CloseReason::kNone) [[unlikely]]
    LookWhetherQuiet();
  UpdateReceiving();
}

void Connection::Deliver(std::span<char> bytes) {
  last_activity_ = worker_->now();
  probe_sent_ = false;
  bytes_received_ += bytes.size();
  worker_->counters().bytes_received.Add(bytes.size());
  if (state_ != State::kOpen) return;  // behind a close: thrown away
  if (bytes_received_ == bytes.size() && !worker_->AdmitFirstBytes(*this)) return;
  if (worker_->over_memory_limit()) [[unlikely]]
    worker_->HoldBack(*this);
  if (remainder_ != nullptr) {
    if (Keep(bytes) && receiving()) OfferRemainder();
  } else {
    const size_t consumed = receiving() ? OfferToSession(bytes) : 0;
    if (consumed < bytes.size() && state_ == State::kOpen) Keep(bytes.subspan(consumed));
  }
  if (deferred_stop_ && !started_over_ && state_ == State::kOpen) {
    deferred_stop_ = false;
    stop_told_ = true;
    Guard([&] { session_->OnStop(*this); });
  }
}

bool Connection::Keep(std::span<const char> bytes) {
  const size_t before = remainder_ == nullptr ? 0 : remainder_->held_bytes();
  try {
    remainder_ = Remainder::Append(remainder_, bytes);
  } catch (const std::bad_alloc&) {
    OnNoMemory();
    return false;
  }
  worker_->ChangeHeldInput(before, remainder_->held_bytes());
  return true;
}

void Connection::FreeRemainder() {
  if (remainder_ == nullptr) return;
  worker_->ChangeHeldInput(remainder_->held_bytes(), 0);
  Remainder::Free(remainder_);
  remainder_ = nullptr;
}

// Calls the session until it has nothing more to take. A session that was replaced (an upgrade)
// leaves the rest to its successor.
size_t Connection::OfferToSession(std::span<char> bytes) {
  worker_->timings().OnDeliveryBegins();
  const uint64_t messages_before = message_count_;
  size_t consumed = 0;
  while (consumed < bytes.size() && receiving()) {
    Session* const before = session_.get();
    size_t taken = 0;
    started_over_ = false;
    Guard([&] { taken = session_->OnInput(*this, bytes.subspan(consumed)); });
    CHECK(taken <= bytes.size() - consumed);
    consumed += taken;
    if (session_.get() == before) break;
  }
  worker_->timings().OnDelivered(message_count_ - messages_before);
  return consumed;
}

void Connection::OfferRemainder() {
  // The block may not be freed or moved while the session reads from it; sessions only queue
  // output, and nothing appends input but Deliver.
  const size_t consumed = OfferToSession(remainder_->span());
  remainder_->begin += static_cast<uint32_t>(consumed);
  if (remainder_->begin == remainder_->end || state_ != State::kOpen) FreeRemainder();
}

void Connection::DeliverInputEnd() {
  // A session that is or was held back gets its remaining bytes first (see
  // Worker::OfferRemainders).
  if (!receiving() || offer_scheduled_ || input_end_told_) return;
  input_end_told_ = true;
  const size_t unconsumed = remainder_ == nullptr ? 0 : remainder_->span().size();
  Guard([&] { session_->OnInputEnd(*this, unconsumed); });
  worker_->timings().Interrupt();
}

void Connection::PauseReceive() {
  receive_paused_ = true;
  UpdateReceiving();
}

void Connection::ResumeReceive() {
  if (!receive_paused_) return;
  receive_paused_ = false;
  // The peer could not send meanwhile: its body has its whole time again.
  if (wait_ == Wait::kBody) RestartWait(Wait::kBody);
  // While it was paused the peer waited for us: its idle time begins now.
  last_activity_ = worker_->now();
  if (receiving()) worker_->ScheduleOffer(*this);
  UpdateReceiving();
}

// Makes the armed state of the receive follow what is wanted now.
// Who is paused for memory still handles what it has received. Who is held back is so for a moment.
bool Connection::WantsReceive() const {
  const bool open = state_ == State::kOpen && !receive_paused_ && !output_paused_;
  if (moving_) return false;
  return (open && !memory_paused_) || state_ == State::kLingering;
}

void Connection::UpdateReceiving() {
  const bool wanted = WantsReceive();
  if (wanted && !receive_armed_ && !starved_ && !input_ended_) {
    ArmReceive();
  } else if (!wanted && receive_armed_ && state_ == State::kOpen) {
    StopReceive();
  }
}

}  // namespace ringmaster
