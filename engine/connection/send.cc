#include <unistd.h>

#include <cerrno>
#include <cstring>

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

// Files a connection may have queued before its input waits. A file counts nothing against the
// queue's bytes until it is read, so a peer that asks for files and reads none would otherwise take
// every descriptor there is. Files leave one behind the other: a few keep the next one at hand.
constexpr size_t kQueuedFilesMax = 16;

}  // namespace
// True when `bytes` stand in the buffer that is being delivered and will be given to the kernel at
// the end of this very turn: the buffer is then the queue's to return. A buffer is leased once; a
// second part of it is copied.
bool Connection::LeaseFor(std::string_view bytes) {
  ReceivedBuffer& received = worker_->received();
  if (bytes.size() < worker_->lease_bytes_min() || received.leased || send_in_flight_ ||
      file_read_in_flight_ || state_ != State::kOpen) {
    return false;
  }
  const char* const begin = received.bytes.data();
  if (bytes.data() < begin || bytes.data() + bytes.size() > begin + received.bytes.size()) {
    return false;
  }
  received.leased = true;
  return true;
}

SendResult Connection::SendMessage(std::string_view head, std::string_view bytes,
                                   bool front_is_consumed) {
  SendResult refusal;
  if (!CanQueue(head.size() + bytes.size(), refusal)) return refusal;
  SendQueue& queue = Queue();
  if (LeaseFor(bytes)) {
    const ReceivedBuffer& received = worker_->received();
    const auto offset = static_cast<size_t>(bytes.data() - received.bytes.data());
    if (front_is_consumed && offset >= head.size()) {
      // Head and message in one piece, without moving the message.
      char* const front = received.bytes.data() + offset - head.size();
      std::memcpy(front, head.data(), head.size());
      queue.AppendLeased({front, head.size() + bytes.size()}, ring(), received.buffer_id);
      return AfterQueued();
    }
    std::memcpy(queue.Reserve(head.size()), head.data(), head.size());
    queue.Commit(head.size());
    queue.AppendLeased(bytes, ring(), received.buffer_id);
    return AfterQueued();
  }
  char* const out = queue.Reserve(head.size() + bytes.size());
  std::memcpy(out, head.data(), head.size());
  if (!bytes.empty()) std::memcpy(out + head.size(), bytes.data(), bytes.size());
  queue.Commit(head.size() + bytes.size());
  return AfterQueued();
}

bool Connection::CanQueue(size_t bytes, SendResult& refusal) {
  if (state_ != State::kOpen && state_ != State::kConnecting) {
    refusal = SendResult::kClosed;
    return false;
  }
  // Checked before anything is queued: one large call cannot exceed the bound either.
  if (output_bytes() + bytes > options_->send_queue_bytes_max) {
    worker_->counters().send_refused.Add();
    refusal = SendResult::kFull;
    return false;
  }
  return true;
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
  if (queue_->bytes_pending() <= options_->send_queue_bytes_high) return SendResult::kQueued;
  // The session stops taking input at once; the receive itself is only cancelled if the kernel does
  // not take the output either (OnOutputMoved).
  output_paused_ = true;
  was_above_high_ = true;
  return SendResult::kAboveHigh;
}

SendResult Connection::Send(std::string_view bytes) {
  SendResult refusal;
  if (!CanQueue(bytes.size(), refusal)) return refusal;
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
  SendResult refusal;
  if (!CanQueue(0, refusal)) {
    close(fd);
    return refusal;
  }
  Queue().AppendFile(fd, offset, bytes);
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

// End of the turn: one send for all that was queued.
void Connection::FlushOutput() {
  flush_scheduled_ = false;
  if (state_ != State::kOpen && state_ != State::kFlushing) return;
  if (send_in_flight_ || file_read_in_flight_) {
    // Behind a stuck send nothing may move for a long time, while a peer that only sends could make
    // us keep its input without a bound.
    if (send_in_flight_ && send_stuck_) UpdateReceiving();
    return;
  }
  if (queue_ != nullptr) {
    queue_->Consume(0);  // drops what was reserved and then left empty
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
  if (stuck) queue_->CopyLeased();
  const SendQueue::Gather front = queue_->Front();
  if (front.bytes == 0) {
    const SendQueue::FileRead read = queue_->NextFileRead();
    if (read.fd >= 0) {
      file_read_in_flight_ = true;
      ++in_flight_;
      ring().SubmitRead(read.fd, read.buffer, read.bytes, read.offset, Tag(kOperationFileRead));
    }
    return;
  }
  send_in_flight_ = true;
  send_stuck_ = stuck;
  ++in_flight_;
  const UserData tag = Tag(kOperationSend);
  if (stuck) {
    worker_->counters().send_stuck.Add();
    const LinkedTimeout timeout{DeadlineAfter(worker_->now(), queue_->write_timeout),
                                Tag(kOperationSendTimeout)};
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
  if (state_ == State::kClosing) return;
  if (result >= 0) {
    const size_t sent = static_cast<size_t>(result);
    const bool was_short = sent < queue_->bytes_given_out();
    queue_->Consume(sent);
    bytes_sent_ += sent;
    worker_->counters().bytes_sent.Add(sent);
    // The peer made room, so it is there: whoever takes a long answer slowly is not idle.
    if (send_stuck_) last_activity_ = worker_->now();
    if (!queue_->empty()) SubmitFront(/*stuck=*/was_short);
    OnOutputMoved();
  } else if (result == -EAGAIN || result == -EINTR || result == -ENOBUFS || result == -ENOMEM) {
    SubmitFront(/*stuck=*/true);
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
  const size_t pending = output_bytes();
  const bool few_files = empty || queue_->file_count() < kQueuedFilesMax;
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

}  // namespace ringmaster
