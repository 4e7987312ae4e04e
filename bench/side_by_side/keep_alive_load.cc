#include "bench/side_by_side/keep_alive_load.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace side_by_side {
namespace {

// user_data is the connection's index times two, plus one for a send.
constexpr uint64_t kSendBit = 1;

// A turn's answers should fit one buffer. Above 32 KiB the buffers would outgrow the cache.
size_t BufferBytes(size_t turn_bytes) {
  return std::clamp<size_t>(std::bit_ceil(turn_bytes), 1024, 32 * 1024);
}

}  // namespace

KeepAliveLoad::KeepAliveLoad(Conversation conversation, std::vector<int> sockets)
    : conversation_(std::move(conversation)),
      turn_bytes_(conversation_.answer.size() * conversation_.answers_per_turn),
      ring_(BufferBytes(turn_bytes_)) {
  connections_.resize(sockets.size());
  for (size_t i = 0; i < sockets.size(); ++i) {
    connections_[i].fd = sockets[i];
    SubmitRecv(i);
  }
}

KeepAliveLoad::~KeepAliveLoad() {
  for (const Connection& connection : connections_) close(connection.fd);
}

uint64_t KeepAliveLoad::RunSlice(const SliceBounds& bounds) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                           std::chrono::duration<double>(bounds.seconds));
  answers_ = 0;
  answers_max_ = bounds.answers_max;
  accepts_new_turns_ = true;
  ring_.ArmAlarm(kAlarm, bounds.seconds + kStallSeconds);
  alarm_completions_due_ = 1;
  for (size_t i = 0; i < connections_.size(); ++i) SubmitSend(i);
  while (turns_outstanding_ > 0) {
    ring_.Turn([this](const io_uring_cqe& cqe) { OnCompletion(cqe); });
    if (Clock::now() >= deadline) accepts_new_turns_ = false;
  }
  ring_.DisarmAlarm(kAlarm);
  ++alarm_completions_due_;
  while (alarm_completions_due_ > 0) {
    ring_.Turn([this](const io_uring_cqe& cqe) { OnCompletion(cqe); });
  }
  return answers_;
}

void KeepAliveLoad::SubmitRecv(size_t index) {
  io_uring_sqe* sqe = ring_.NextSqe();
  io_uring_prep_recv_multishot(sqe, connections_[index].fd, nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = 0;
  sqe->user_data = index * 2;
}

void KeepAliveLoad::SubmitSend(size_t index) {
  Connection& connection = connections_[index];
  connection.turn_outstanding = true;
  connection.received_bytes = 0;
  ++turns_outstanding_;
  io_uring_sqe* sqe = ring_.NextSqe();
  io_uring_prep_send(sqe, connection.fd, conversation_.request.data(), conversation_.request.size(),
                     MSG_NOSIGNAL | MSG_WAITALL);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = index * 2 | kSendBit;
}

void KeepAliveLoad::OnCompletion(const io_uring_cqe& cqe) {
  if (cqe.user_data == kAlarm) {
    if (turns_outstanding_ > 0) {
      throw std::runtime_error(fmt::format("stalled: {} of {} connections wait for an answer",
                                           turns_outstanding_, connections_.size()));
    }
    --alarm_completions_due_;
    return;
  }
  const size_t index = cqe.user_data / 2;
  if (cqe.user_data & kSendBit) {
    // Only a failed or short send completes visibly.
    throw std::runtime_error(fmt::format("send on connection {}: {}", index,
                                         cqe.res < 0 ? std::strerror(-cqe.res) : "short"));
  }
  OnRecv(index, cqe);
}

void KeepAliveLoad::OnRecv(size_t index, const io_uring_cqe& cqe) {
  if (cqe.res == -ENOBUFS) {
    SubmitRecv(index);
    return;
  }
  if (cqe.res <= 0) {
    throw std::runtime_error(
        fmt::format("connection {} ended: {}", index,
                    cqe.res == 0 ? "closed by the server" : std::strerror(-cqe.res)));
  }
  Connection& connection = connections_[index];
  const std::string_view data = ring_.Buffer(cqe);
  const bool fits =
      connection.turn_outstanding && data.size() <= turn_bytes_ - connection.received_bytes;
  if (!fits || !conversation_.answer.Matches(connection.received_bytes, data)) {
    throw std::runtime_error(
        fmt::format("connection {}: not the answer expected, at byte {} of {}: \"{}\"", index,
                    connection.received_bytes, turn_bytes_, data.substr(0, 300)));
  }
  connection.received_bytes += data.size();
  ring_.ReturnBuffer(cqe);
  if (!(cqe.flags & IORING_CQE_F_MORE)) SubmitRecv(index);
  if (connection.received_bytes == turn_bytes_) OnTurnDone(index);
}

void KeepAliveLoad::OnTurnDone(size_t index) {
  connections_[index].turn_outstanding = false;
  --turns_outstanding_;
  answers_ += conversation_.answers_per_turn;
  if (answers_ >= answers_max_) accepts_new_turns_ = false;
  if (accepts_new_turns_) SubmitSend(index);
}

}  // namespace side_by_side
