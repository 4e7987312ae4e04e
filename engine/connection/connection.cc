#include "engine/connection/connection.h"

#include <sys/socket.h>

#include "engine/connection/guard.h"
#include "engine/connection/operation.h"
#include "engine/connection/remainder.h"
#include "engine/connection/send_queue.h"
#include "engine/worker/worker.h"

namespace ringmaster {

Connection::~Connection() { Remainder::Free(remainder_); }

Ring& Connection::ring() const { return *worker_->ring_; }

UserData Connection::Tag(uint8_t operation) const {
  return UserData(operation, generation_, slot_);
}

const PeerAddress& Connection::peer() const {
  if (peer_.family == AF_UNSPEC && fd_ >= 0) {
    sockaddr_storage storage = {};
    socklen_t size = sizeof(storage);
    if (getpeername(fd_, reinterpret_cast<sockaddr*>(&storage), &size) == 0) {
      peer_ = PeerAddress::Of(storage);
    }
  }
  return peer_;
}

void Connection::CountMessage() {
  ++message_count_;
  worker_->counters().messages.Add();
}

void Connection::SetOptions(const StreamOptions& options) {
  const StreamOptions& before = *options_;
  options_ = &options;
  if (wait_ != Wait::kNone) item_deadline_ = DeadlineAfter(item_began_at_, WaitTimeout(wait_));
  if (options.timeouts.lifetime != before.timeouts.lifetime) BoundLifetime();
  if (receive_armed_) PullInReadDeadline();
}

void Connection::ReplaceSession(std::unique_ptr<Session> session) {
  // The old session's call may be on the stack; it dies at the end of the turn.
  worker_->Retire(std::move(session_));
  session_ = std::move(session);
}

}  // namespace ringmaster
