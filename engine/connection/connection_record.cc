#include "engine/connection/connection_record.h"

#include <algorithm>

#include "engine/connection/connection.h"
#include "engine/connection/own_bounds.h"
#include "engine/connection/send_queue.h"
#include "engine/worker/worker.h"

namespace ringmaster {

std::string_view ConnectionStateName(ConnectionRecord::State state) {
  switch (state) {
    case ConnectionRecord::State::kConnecting:
      return "connecting";
    case ConnectionRecord::State::kOpen:
      return "open";
    case ConnectionRecord::State::kFlushing:
      return "flushing";
    case ConnectionRecord::State::kLingering:
      return "lingering";
    case ConnectionRecord::State::kClosing:
      return "closing";
  }
  return "unknown";
}

// The nearest of all that would end the connection if nothing more happened.
Connection::NextDeadline Connection::FindNextDeadline() const {
  NextDeadline next;
  const auto consider = [&next](TimePoint at, CloseReason reason) {
    if (at < next.at) next = {at, reason};
  };
  if (own_ != nullptr) {
    consider(own_->lifetime_deadline, CloseReason::kLifetime);
    consider(own_->goodbye_deadline, CloseReason::kCloseTimeout);
  }
  if (send_in_flight_ && send_stuck_) consider(queue_->write_deadline, CloseReason::kWriteTimeout);
  switch (state_) {
    case State::kConnecting:
      consider(DeadlineAfter(opened_at_, options_->timeouts.connect), CloseReason::kConnectTimeout);
      break;
    case State::kOpen:
      consider(BodyRateDeadline(), CloseReason::kBodyRate);
      if (item_deadline_ != kNever) {
        consider(item_deadline_, ItemDeadlineReason());
      } else if (receive_armed_ && !busy_) {
        consider(DeadlineAfter(last_activity_, options_->timeouts.read), CloseReason::kReadTimeout);
      }
      break;
    case State::kLingering:
      consider(item_deadline_, CloseReason::kCloseTimeout);
      break;
    default:
      break;
  }
  return next;
}

void Connection::Describe(ConnectionRecord& record) const {
  // Nothing of the memory in front of it, padding included, may leave with it.
  std::fill_n(reinterpret_cast<char*>(&record), sizeof(record), '\0');
  record.id = id_;
  record.worker = worker_->index();
  record.opened_at = opened_at_;
  record.last_activity = last_activity_;
  record.bytes_received = bytes_received_;
  record.bytes_sent = bytes_sent_;
  record.messages = message_count_;
  record.queue_bytes = output_bytes();
  record.outbound = outbound_;
  record.peer = peer();
  const std::string_view name = session_ == nullptr ? "" : session_->protocol_name();
  name.copy(record.protocol, sizeof(record.protocol));
  const NextDeadline next = FindNextDeadline();
  record.deadline = next.at;
  record.deadline_reason = next.reason;
  switch (state_) {
    case State::kConnecting:
      record.state = ConnectionRecord::State::kConnecting;
      break;
    case State::kFlushing:
      record.state = ConnectionRecord::State::kFlushing;
      break;
    case State::kLingering:
      record.state = ConnectionRecord::State::kLingering;
      break;
    case State::kFree:
    case State::kClosing:
      record.state = ConnectionRecord::State::kClosing;
      break;
    case State::kOpen:
      record.state = ConnectionRecord::State::kOpen;
      break;
  }
}

}  // namespace ringmaster
