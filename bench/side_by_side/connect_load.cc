#include "bench/side_by_side/connect_load.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace side_by_side {
namespace {

// user_data is the connection's index times four, plus the step; every step but the last is
// silent unless it fails.

const char* StepName(uint64_t step) {
  switch (step) {
    case kConnect:
      return "connect";
    case kSend:
      return "send";
    case kRecv:
      return "recv";
    default:
      return "close";
  }
}

}  // namespace

ConnectLoad::ConnectLoad(Conversation conversation, uint16_t port, size_t connection_count)
    : conversation_(std::move(conversation)), ring_(1024), connections_(connection_count) {
  target_.sin_family = AF_INET;
  target_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  target_.sin_port = htons(port);
  // One byte more than the answer: a receive that waits for all of it ends with the stream, and a
  // server that says too much is caught.
  for (Connection& connection : connections_) {
    connection.buffer.resize(conversation_.answer.size() + 1);
  }
}

ConnectLoad::~ConnectLoad() {
  for (const Connection& connection : connections_) {
    if (connection.fd >= 0) close(connection.fd);
  }
}

uint64_t ConnectLoad::RunSlice(const SliceBounds& bounds) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                           std::chrono::duration<double>(bounds.seconds));
  answers_ = 0;
  answers_max_ = bounds.answers_max;
  accepts_new_connections_ = true;
  ring_.ArmAlarm(kAlarm, bounds.seconds + kStallSeconds);
  alarm_completions_due_ = 1;
  for (size_t i = 0; i < connections_.size(); ++i) Start(i);
  while (connections_outstanding_ > 0) {
    ring_.Turn([this](const io_uring_cqe& cqe) { OnCompletion(cqe); });
    if (Clock::now() >= deadline) accepts_new_connections_ = false;
  }
  ring_.DisarmAlarm(kAlarm);
  ++alarm_completions_due_;
  while (alarm_completions_due_ > 0) {
    ring_.Turn([this](const io_uring_cqe& cqe) { OnCompletion(cqe); });
  }
  return answers_;
}

void ConnectLoad::Start(size_t index) {
  Connection& connection = connections_[index];
  connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection.fd < 0) {
    throw std::runtime_error(fmt::format("socket: {}", std::strerror(errno)));
  }
  const int on = 1;
  setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ++connections_outstanding_;

  ring_.ReserveSqes(3);
  io_uring_sqe* sqe = ring_.NextSqe();
  io_uring_prep_connect(sqe, connection.fd, reinterpret_cast<const sockaddr*>(&target_),
                        sizeof target_);
  sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = index * 4 + kConnect;

  sqe = ring_.NextSqe();
  io_uring_prep_send(sqe, connection.fd, conversation_.request.data(), conversation_.request.size(),
                     MSG_NOSIGNAL | MSG_WAITALL);
  sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = index * 4 + kSend;

  sqe = ring_.NextSqe();
  io_uring_prep_recv(sqe, connection.fd, connection.buffer.data(), connection.buffer.size(),
                     MSG_WAITALL);
  sqe->user_data = index * 4 + kRecv;
}

void ConnectLoad::OnCompletion(const io_uring_cqe& cqe) {
  if (cqe.user_data == kAlarm) {
    if (connections_outstanding_ > 0) {
      throw std::runtime_error(fmt::format("stalled: {} of {} connections wait for an answer",
                                           connections_outstanding_, connections_.size()));
    }
    --alarm_completions_due_;
    return;
  }
  const size_t index = cqe.user_data / 4;
  const uint64_t step = cqe.user_data % 4;
  if (step != kRecv || cqe.res < 0) {
    throw std::runtime_error(fmt::format("{} on connection {}: {}", StepName(step), index,
                                         cqe.res < 0 ? std::strerror(-cqe.res) : "short"));
  }
  OnAnswer(index, static_cast<size_t>(cqe.res));
}

void ConnectLoad::OnAnswer(size_t index, size_t received_bytes) {
  Connection& connection = connections_[index];
  const std::string_view data = std::string_view(connection.buffer).substr(0, received_bytes);
  if (received_bytes != conversation_.answer.size() || !conversation_.answer.Matches(0, data)) {
    throw std::runtime_error(
        fmt::format("connection {}: not the answer expected: \"{}\"", index, data.substr(0, 300)));
  }
  io_uring_sqe* sqe = ring_.NextSqe();
  io_uring_prep_close(sqe, connection.fd);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = index * 4 + kClose;
  connection.fd = -1;

  --connections_outstanding_;
  if (++answers_ >= answers_max_) accepts_new_connections_ = false;
  if (accepts_new_connections_) Start(index);
}

}  // namespace side_by_side
