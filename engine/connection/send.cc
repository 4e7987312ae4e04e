#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "engine/base/check.h"
#include "engine/connection/connection.h"
#include "engine/connection/guard.h"
#include "engine/connection/operation.h"
#include "engine/connection/send_queue.h"
#include "engine/ring/ring.h"
#include "engine/worker/worker.h"

// The sending side. What handlers queue in a turn leaves at its end in one send, of which at most
// one is in flight: two would interleave under back-pressure. The first try does not wait; only a
// remainder that did not fit waits for the peer, with the write timeout linked to it and counted
// from the last progress.

namespace ringmaster {
namespace {

// Of the queue's bound, kept for what the protocol itself has to say (a pong, a goodbye).
constexpr size_t kControlBytes = 512;
// Output of one connection that is queued even while the worker is at its hard limit of memory:
// what a queue holds anyway.
constexpr size_t kSmallOutputBytes = SendQueue::kInlineBytes;
constexpr size_t kFilePieceBytesLeast = 1024;
// What leaves in one send when the oldest messages may be dropped: what is in flight cannot be.
constexpr size_t kInFlightBytesLeast = 4 * 1024;
// Files a connection may have queued before its input waits. A file counts little against the
// queue's bytes until it is read, so a peer that asks for files and reads none would otherwise take
// every descriptor there is. Files leave one behind the other: a few keep the next one at hand.
constexpr size_t kQueuedFilesMax = 16;

size_t InFlightBytesMax(const StreamOptions& options) {
  return std::max(kInFlightBytesLeast,
                  std::min(options.send_queue_bytes_low, options.send_queue_bytes_max / 4));
}

}  // namespace

// True when `bytes` stand in the buffer that is being delivered and will be given to the kernel at
// the end of this very turn: the buffer is then the queue's to return. A buffer is leased once; a
// second part of it is copied. What may be dropped again is copied too: dropping it would return
// the buffer while it is still being delivered.
bool Connection::CanLease(std::string_view bytes) const {
  const ReceivedBuffer& received = worker_->received();
  if (bytes.size() < worker_->lease_bytes_min() || received.leased || send_in_flight_ ||
      file_read_in_flight_ || state_ != State::kOpen ||
      send_queue_policy() == SendQueuePolicy::kDropOldest) {
    return false;
  }
  const char* const begin = received.bytes.data();
  return bytes.data() >= begin && bytes.data() + bytes.size() <= begin + received.bytes.size();
}

SendResult Connection::SendMessage(std::string_view head, std::string_view bytes,
                                   bool front_is_consumed) {
  SendResult result = SendResult::kQueued;
  const size_t message_bytes = head.size() + bytes.size();
  if (!CanQueueMessage(message_bytes, result)) return result;
  SendQueue& queue = Queue();
  if (CanLease(bytes)) {
    ReceivedBuffer& received = worker_->received();
    // What may fail comes first: a head must not be queued without its message, nor a buffer be
    // leased to a queue that does not know of it.
    queue.ReserveSegments(2);
    const auto offset = static_cast<size_t>(bytes.data() - received.bytes.data());
    if (front_is_consumed && offset >= head.size()) {
      // Head and message in one piece, without moving the message.
      char* const front = received.bytes.data() + offset - head.size();
      std::memcpy(front, head.data(), head.size());
      received.leased = true;
      queue.AppendLeased({front, message_bytes}, ring(), received.buffer_id);
      return AfterQueued();
    }
    std::memcpy(queue.Reserve(head.size()), head.data(), head.size());
    queue.Commit(head.size());
    received.leased = true;
    queue.AppendLeased(bytes, ring(), received.buffer_id);
    return AfterQueued();
  }
  char* const out = queue.Reserve(message_bytes);
  if (!head.empty()) std::memcpy(out, head.data(), head.size());
  if (!bytes.empty()) std::memcpy(out + head.size(), bytes.data(), bytes.size());
  queue.Commit(message_bytes);
  return AfterMessageQueued(message_bytes, result);
}

// What counts against the bound.
size_t Connection::bytes_bounded() const { return queue_ == nullptr ? 0 : queue_->bytes_bounded(); }

bool Connection::CanQueue(size_t bytes, SendResult& refusal) {
  if (state_ != State::kOpen && state_ != State::kConnecting) {
    refusal = SendResult::kClosed;
    return false;
  }
  // Checked before anything is queued: one large call cannot exceed the bound either.
  const size_t after = bytes_bounded() + bytes;
  if (after > options_->send_queue_bytes_max ||
      (after > kSmallOutputBytes && worker_->over_memory_limit())) {
    worker_->counters().send_refused.Add();
    refusal = SendResult::kFull;
    return false;
  }
  return true;
}

bool Connection::CanQueueMessage(size_t bytes, SendResult& result) {
  if (state_ != State::kOpen && state_ != State::kConnecting) {
    result = SendResult::kClosed;
    return false;
  }
  const size_t max = options_->send_queue_bytes_max;
  const size_t bytes_max = max - std::min(kControlBytes, max / 8);
  const size_t after = bytes_bounded() + bytes;
  if (after <= bytes_max && (after <= kSmallOutputBytes || !worker_->over_memory_limit())) {
    return true;
  }
  return MakeRoom(bytes, bytes_max, result);
}

// The queue is full, or the worker's memory: the policy decides about a message.
bool Connection::MakeRoom(size_t bytes, size_t bytes_max, SendResult& result) {
  WorkerCounters& counters = worker_->counters();
  const SendQueuePolicy policy = send_queue_policy();
  if (policy == SendQueuePolicy::kRefuse || bytes > bytes_max) {
    counters.send_refused.Add();
    result = SendResult::kFull;
    return false;
  }
  if (policy == SendQueuePolicy::kClose) {
    counters.send_refused.Add();
    CloseForFullQueue();
    result = SendResult::kClosed;
    return false;
  }
  if (policy == SendQueuePolicy::kDropOldest && queue_ != nullptr) {
    const size_t after = queue_->bytes_bounded() + bytes;
    // Short of memory: what comes may only take the place of what goes.
    const size_t excess = after > bytes_max ? after - bytes_max : bytes;
    if (const uint32_t dropped = queue_->DropOldest(excess); dropped > 0) {
      counters.send_dropped_oldest.Add(dropped);
      result = SendResult::kDroppedOldest;
      return true;
    }
  }
  counters.send_dropped_newest.Add();
  result = SendResult::kDroppedNewest;
  return false;
}

// The peer does not keep up and has to go. Its session may say goodbye at the end of the turn: one
// of its calls may be on the stack now.
void Connection::CloseForFullQueue() {
  // Lingering: a peer that goes on sending would otherwise lose the goodbye to a reset.
  CloseAfterFlush(CloseReason::kSendQueueFull, Linger::kYes);
  if (state_ == State::kFlushing) goodbye_due_ = true;
}

SendQueue& Connection::Queue() {
  if (queue_ == nullptr) {
    queue_ = worker_->send_queues().Take();
    queue_->write_timeout = options_->timeouts.write;
  }
  return *queue_;
}

SendResult Connection::AfterQueued() {
  if (!flush_scheduled_) worker_->ScheduleFlush(*this);
  const size_t bytes = queue_->bytes_bounded();
  if (bytes > kSmallOutputBytes && worker_->over_memory_limit()) worker_->HoldBack(*this);
  if (bytes <= options_->send_queue_bytes_high) return SendResult::kQueued;
  // The session stops taking input at once; the receive itself is only cancelled if the kernel does
  // not take the output either (OnOutputMoved).
  output_paused_ = true;
  was_above_high_ = true;
  if (!above_high_) {
    above_high_ = true;
    tell_high_ = true;
  }
  return SendResult::kAboveHigh;
}

SendResult Connection::AfterMessageQueued(size_t bytes, SendResult result) {
  if (send_queue_policy() == SendQueuePolicy::kDropOldest) [[unlikely]]
    queue_->MarkMessage(bytes);
  const SendResult queued = AfterQueued();
  return result == SendResult::kDroppedOldest ? result : queued;
}

SendResult Connection::Send(std::string_view bytes) {
  SendResult refusal;
  if (!CanQueue(bytes.size(), refusal)) return refusal;
  SendQueue& queue = Queue();
  std::memcpy(queue.Reserve(bytes.size()), bytes.data(), bytes.size());
  queue.Commit(bytes.size());
  return AfterQueued();
}

SendResult Connection::SendControl(std::string_view bytes, bool last) {
  const bool goodbye = last && goodbye_due_ && state_ == State::kFlushing;
  if (state_ != State::kOpen && state_ != State::kConnecting && !goodbye) {
    return SendResult::kClosed;
  }
  const size_t kept = last ? 0 : kGoodbyeBytesMax;
  if (bytes_bounded() + bytes.size() + kept > options_->send_queue_bytes_max) {
    worker_->counters().send_refused.Add();
    return SendResult::kFull;
  }
  SendQueue& queue = Queue();
  std::memcpy(queue.Reserve(bytes.size()), bytes.data(), bytes.size());
  queue.Commit(bytes.size());
  return AfterQueued();
}

SendResult Connection::SendShared(std::string_view bytes, std::shared_ptr<const void> owner) {
  SendResult refusal;
  if (!CanQueue(bytes.size(), refusal)) return refusal;
  Queue().AppendShared(bytes, std::move(owner));
  return AfterQueued();
}

SendResult Connection::SendFile(int fd, uint64_t offset, uint64_t bytes) {
  // A piece is as large as there is room for: files that wait for one another must not need more
  // than the queue has.
  const size_t max = options_->send_queue_bytes_max;
  const size_t room = max - std::min(max, bytes_bounded());
  const size_t usual = std::min(SendQueue::kFilePieceBytes, max / 2);
  const size_t piece = std::max<size_t>(std::min({bytes, uint64_t{usual}, uint64_t{room}}),
                                        std::min<uint64_t>(bytes, kFilePieceBytesLeast));
  SendResult refusal;
  if (!CanQueue(piece, refusal)) {
    close(fd);
    return refusal;
  }
  Queue().AppendFile(fd, offset, bytes, piece);
  was_above_high_ = true;  // OnDrained follows when the file has left
  if (queue_->file_count() >= kQueuedFilesMax) output_paused_ = true;
  return AfterQueued();
}

char* Connection::ReserveOutput(size_t bytes) {
  SendResult refusal;
  if (!CanQueue(bytes, refusal)) return nullptr;
  return Queue().Reserve(bytes);
}

void Connection::CommitOutput(size_t bytes) {
  queue_->Commit(bytes);
  AfterQueued();
}

size_t Connection::output_bytes() const { return queue_ == nullptr ? 0 : queue_->bytes_pending(); }

// The queue went above its high watermark in this turn.
void Connection::TellBackpressure() {
  if (state_ == State::kConnecting) return;  // told when there is a peer
  tell_high_ = false;
  if (state_ == State::kOpen) Guard([&] { session_->OnBackpressure(*this); });
}

// The queue was too full for a message and the policy is to close.
void Connection::SayGoodbye() {
  if (state_ == State::kFlushing) Guard([&] { session_->OnSendQueueFull(*this); });
  goodbye_due_ = false;
  BoundGoodbye();
}

// End of the turn: one send for all that was queued.
void Connection::FlushOutput() {
  flush_scheduled_ = false;
  if (tell_high_) [[unlikely]]
    TellBackpressure();
  if (goodbye_due_) [[unlikely]]
    SayGoodbye();
  if (state_ != State::kOpen && state_ != State::kFlushing) return;
  if (send_in_flight_ || file_read_in_flight_ || send_waits_for_memory_) {
    // Behind a stuck send nothing may move for a long time, while a peer that only sends could make
    // us keep its input without a bound.
    if (send_waits_for_memory_ || (send_in_flight_ && send_stuck_)) UpdateReceiving();
    return;
  }
  if (queue_ != nullptr) {
    queue_->Consume(0);  // drops what was reserved and then left empty
    if (moving_ && !queue_->empty()) {
      HoldOutput();
      return;
    }
    if (!queue_->empty()) {
      SubmitFront(/*stuck=*/false);
      return;
    }
    // Nothing of it has to be sent: what was reserved and left empty, files without a byte.
    OnOutputMoved();
    return;
  }
  if (state_ == State::kFlushing) AfterFlushed();
}

void Connection::SubmitFront(bool stuck) {
  const bool droppable = send_queue_policy() == SendQueuePolicy::kDropOldest;
  SendQueue::Gather front;
  SendQueue::FileRead read;
  try {
    if (!stuck && !worker_->MayOutput() && bytes_bounded() > kSmallOutputBytes) [[unlikely]] {
      // Its turn is the next one. What it was received in is needed until then.
      queue_->CopyLeased();
      worker_->counters().sends_postponed.Add();
      if (!flush_scheduled_) worker_->ScheduleFlush(*this);
      return;
    }
    if (stuck) {
      // Until the peer takes it the connection holds what it needs and no more.
      queue_->CopyLeased();
      queue_ = worker_->send_queues().Shrink(std::move(queue_));
    }
    front = queue_->Front(droppable ? InFlightBytesMax(*options_) : SIZE_MAX);
    if (front.bytes == 0) read = queue_->NextFileRead();
  } catch (const std::bad_alloc&) {
    OnNoMemory();
    return;
  }
  if (front.bytes == 0) {
    if (read.fd >= 0) {
      file_read_in_flight_ = true;
      ++in_flight_;
      worker_->CountOutput(read.bytes);
      ring().SubmitRead(read.fd, read.buffer, read.bytes, read.offset, Tag(kOperationFileRead));
    }
    return;
  }
  send_in_flight_ = true;
  send_stuck_ = stuck;
  ++in_flight_;
  worker_->CountOutput(front.bytes);
  const UserData tag = Tag(kOperationSend);
  if (stuck) {
    worker_->counters().send_stuck.Add();
    if (queue_->write_deadline == kNever) {
      queue_->write_deadline = DeadlineAfter(worker_->now(), queue_->write_timeout);
    }
    const LinkedTimeout timeout{queue_->write_deadline, Tag(kOperationSendTimeout)};
    if (front.message != nullptr) {
      ring().SubmitSendMessageStuck(fd_, front.message, tag, timeout);
    } else {
      ring().SubmitSendStuck(fd_, front.data, front.bytes, tag, timeout);
    }
  } else if (front.message != nullptr) {
    ring().SubmitSendMessage(fd_, front.message, tag);
  } else {
    ring().SubmitSend(fd_, front.data, front.bytes, tag);
  }
}

void Connection::OnSend(int32_t result) {
  DCHECK(send_in_flight_);
  send_in_flight_ = false;
  --in_flight_;
  const bool cancelled_by_us = send_cancelled_;
  send_cancelled_ = false;
  if (state_ == State::kClosing) return;
  // So it would have waited longer, if it had not been for a move.
  if (result == -ECANCELED && cancelled_by_us && worker_->now() < queue_->write_deadline) {
    result = -EAGAIN;
  }
  if (result >= 0) {
    const size_t sent = static_cast<size_t>(result);
    const bool was_short = sent < queue_->bytes_given_out();
    queue_->Consume(sent);
    bytes_sent_ += sent;
    worker_->counters().bytes_sent.Add(sent);
    // The peer made room, so it is there: whoever takes a long answer slowly is not idle.
    if (send_stuck_) last_activity_ = worker_->now();
    if (!queue_->empty() && moving_) {
      HoldOutput();
    } else if (!queue_->empty()) {
      SubmitFront(/*stuck=*/was_short);
    }
    OnOutputMoved();
  } else if (moving_ && (result == -EAGAIN || result == -EINTR)) {
    HoldOutput();
  } else if (result == -EAGAIN || result == -EINTR) {
    SubmitFront(/*stuck=*/true);
    OnOutputMoved();
  } else if (result == -ENOBUFS || result == -ENOMEM) {
    RetrySendLater();
    OnOutputMoved();
  } else if (result == -ECANCELED) {
    // Only its linked timeout cancels a send: no progress within the write timeout.
    CutShort(CloseReason::kWriteTimeout);
  } else {
    OnPeerError(-result);
  }
}

void Connection::OnFileRead(int32_t result) {
  DCHECK(file_read_in_flight_);
  file_read_in_flight_ = false;
  --in_flight_;
  if (state_ == State::kClosing) return;
  if (result <= 0) {
    // Unreadable, or shorter than promised: the peer must not take what it has for the whole.
    Abort(CloseReason::kLocal);
    return;
  }
  queue_->CommitFileRead(static_cast<size_t>(result));
  SubmitFront(/*stuck=*/false);
}

// The queue became shorter, or a send found no room: watermarks, pauses, the end of a flush.
void Connection::OnOutputMoved() {
  const bool empty = queue_ == nullptr || queue_->empty();
  if (empty) ReleaseQueue();
  const size_t pending = bytes_bounded();
  const bool few_files = empty || queue_->file_count() < kQueuedFilesMax;
  if (pending <= options_->send_queue_bytes_low) above_high_ = false;
  if (output_paused_ && pending <= options_->send_queue_bytes_low && few_files) {
    output_paused_ = false;
    // Nothing was taken from the peer meanwhile: its idle time begins now.
    last_activity_ = worker_->now();
    if (receiving()) worker_->ScheduleOffer(*this);
  }
  if (state_ == State::kOpen) {
    UpdateReceiving();
    if (was_above_high_ && !output_paused_ && (empty || !queue_->HasFile())) {
      was_above_high_ = false;
      Guard([&] { session_->OnDrained(*this); });
    }
  } else if (empty && state_ == State::kFlushing) {
    AfterFlushed();
  }
}

void Connection::ReleaseQueue() {
  if (queue_ != nullptr) worker_->send_queues().Put(std::move(queue_));
}

void Connection::FreeAll() {
  ReleaseQueue();
  FreeRemainder();
  CancelOwnTimer();
}

}  // namespace ringmaster
