#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "engine/base/unique_fd.h"
#include "engine/connection/connection.h"
#include "engine/connection/guard.h"
#include "engine/connection/operation.h"
#include "engine/ring/ring.h"
#include "engine/worker/worker.h"

// Outbound connections: the same state machine and protocol seam, entered by connect(2) with the
// connect timeout linked to it.

namespace ringmaster {

absl::StatusOr<uint64_t> Worker::Connect(const Address& address, Protocol& protocol,
                                         const StreamOptions& options) {
  if (stopping_) return absl::UnavailableError("the worker is stopping");
  UniqueFd owned_fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int fd = owned_fd.get();
  if (fd < 0) {
    return absl::ResourceExhaustedError(fmt::format("socket: {}", std::strerror(errno)));
  }
  if (!address.is_unix()) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  // The kernel copies the address when the SQE is submitted, at the end of this turn. First,
  // because it may throw: behind NewConnection nothing does.
  connect_addresses_.push_back(std::make_unique<Address>(address));
  Arrival arrival;  // not through the door
  arrival.fd = fd;
  Connection* const connection = NewConnection(arrival, protocol, options);
  if (connection == nullptr) return absl::ResourceExhaustedError("no memory for a connection");
  owned_fd.Release();
  connection->outbound_ = true;
  ++outbound_count_;
  if (connection->state_ != Connection::State::kOpen) return connection->id_;  // NewSession threw
  connection->state_ = Connection::State::kConnecting;
  ++connection->in_flight_;
  ring_->SubmitConnect(fd, connect_addresses_.back()->data(), address.size(),
                       connection->Tag(kOperationConnect),
                       {DeadlineAfter(now_, connection->options().timeouts.connect),
                        connection->Tag(kOperationConnectTimeout)});
  return connection->id_;
}

void Connection::OnConnect(int32_t result) {
  --in_flight_;
  if (state_ != State::kConnecting) return;
  if (result < 0) {
    // Only the linked timeout cancels a connect that we still wait for.
    close_reason_ =
        result == -ECANCELED ? CloseReason::kConnectTimeout : CloseReason::kConnectFailed;
    state_ = State::kOpen;  // nothing is in flight that would need cancelling
    BeginClosing();
    return;
  }
  state_ = State::kOpen;
  last_activity_ = worker_->now();
  worker_->counters().connections_connected.Add();
  Guard([&] { session_->OnConnected(*this); });
  UpdateReceiving();
  if (queue_ != nullptr && !flush_scheduled_) worker_->ScheduleFlush(*this);
}

}  // namespace ringmaster
