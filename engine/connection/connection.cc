#include "engine/connection/connection.h"

#include "engine/connection/guard.h"
#include "engine/connection/operation.h"
#include "engine/connection/own_bounds.h"
#include "engine/connection/remainder.h"
#include "engine/connection/send_queue.h"
#include "engine/limits/rate_buckets.h"
#include "engine/worker/worker.h"

namespace ringmaster {

Connection::Connection() = default;
Connection::~Connection() { Remainder::Free(remainder_); }

Ring& Connection::ring() const { return *worker_->ring_; }

UserData Connection::Tag(uint8_t operation) const {
  return UserData(operation, generation_, slot_);
}

const PeerAddress& Connection::peer() const {
  if (peer_.family == AF_UNSPEC) peer_ = PeerNow();
  return peer_;
}

PeerAddress Connection::PeerNow() const {
  return peer_.family == AF_UNSPEC && fd_ >= 0 ? ring().PeerOf(fd_) : peer_;
}

void Connection::CountMessage() {
  ++message_count_;
  worker_->counters().messages.Add();
}

void Connection::ReplaceSession(std::unique_ptr<Session> session) {
  // The old session's call may be on the stack; it dies at the end of the turn.
  worker_->Retire(std::move(session_));  // throws without memory: then session_ stays
  SetHeldBytes(0, 0);
  session_ = std::move(session);
}

void Connection::StartOver(std::unique_ptr<Session> session) {
  ReplaceSession(std::move(session));
  started_over_ = true;
  if (open()) RestartWait(Wait::kHandshake);
}

}  // namespace ringmaster
