#include "bench/side_by_side/open_load.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace side_by_side {
namespace {

// user_data is the attempt's index times four, plus the step. Exactly one completion ends an
// attempt: the receive's, or that of the step which failed. Behind a failed step with
// IOSQE_CQE_SKIP_SUCCESS the rest of the chain is cancelled without a completion
// (io_uring_enter(2)).

// At most this many strangers at a time; one more that is due counts as failed.
constexpr size_t kAttemptsMax = 16 * 1024;
// 127.0.0.2 and up: one address has fewer than 28,233 ports to leave from.
constexpr uint32_t kSourceCount = 200;
constexpr double kTurnSeconds = 0.001;

}  // namespace

OpenLoad::OpenLoad(Conversation conversation, uint16_t port, double rate, double within_seconds)
    : conversation_(std::move(conversation)),
      rate_(rate),
      within_(std::chrono::duration_cast<Clock::duration>(
          std::chrono::duration<double>(within_seconds))),
      ring_(1024),
      attempts_(kAttemptsMax) {
  target_.sin_family = AF_INET;
  target_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  target_.sin_port = htons(port);
  for (size_t i = kAttemptsMax; i > 0; --i) {
    // One byte more than the answer, so that the receive ends with the stream; a refusal is shorter
    // or longer, its first bytes say what it is.
    attempts_[i - 1].buffer.resize(conversation_.answer.size() + 1);
    free_.push_back(i - 1);
  }
}

OpenLoad::~OpenLoad() {
  for (const Attempt& attempt : attempts_) {
    if (attempt.fd >= 0) close(attempt.fd);
  }
}

uint64_t OpenLoad::RunSlice(const SliceBounds& bounds) {
  due_ = good_ = refused_ = late_ = failed_ = 0;
  milliseconds_.clear();
  const Clock::time_point start = Clock::now();
  while (true) {
    const Clock::time_point now = Clock::now();
    const std::chrono::duration<double> elapsed = now - start;
    const bool over = elapsed.count() >= bounds.seconds || due_ >= bounds.answers_max;
    if (!over) StartDue(start, elapsed.count());
    GiveUpOverdue(now);
    if (over && outstanding_ == 0) break;
    ring_.TurnWithin(kTurnSeconds, [this](const io_uring_cqe& cqe) { OnCompletion(cqe); });
  }
  waiting_.clear();
  return good_;
}

void OpenLoad::StartDue(Clock::time_point start, double elapsed_seconds) {
  const auto due_by_now = static_cast<uint64_t>(elapsed_seconds * rate_);
  for (; due_ < due_by_now; ++due_) {
    const auto due = start + std::chrono::duration_cast<Clock::duration>(
                                 std::chrono::duration<double>(static_cast<double>(due_) / rate_));
    if (!Start(due)) ++failed_;
  }
}

bool OpenLoad::Start(Clock::time_point due) {
  if (free_.empty()) return false;
  const size_t index = free_.back();
  Attempt& attempt = attempts_[index];
  attempt.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (attempt.fd < 0) return false;
  free_.pop_back();
  attempt.given_up = false;
  attempt.due = due;
  const int on = 1;
  setsockopt(attempt.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(attempt.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in source = {};
  source.sin_family = AF_INET;
  source.sin_addr.s_addr =
      htonl(INADDR_LOOPBACK + 1 + static_cast<uint32_t>(source_++ % kSourceCount));
  if (bind(attempt.fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0) {
    throw std::runtime_error(fmt::format("bind: {}", std::strerror(errno)));
  }
  ++outstanding_;
  waiting_.emplace_back(index, due);

  ring_.ReserveSqes(3);
  io_uring_sqe* sqe = ring_.NextSqe();
  io_uring_prep_connect(sqe, attempt.fd, reinterpret_cast<const sockaddr*>(&target_),
                        sizeof target_);
  sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = index * 4 + kConnect;
  sqe = ring_.NextSqe();
  io_uring_prep_send(sqe, attempt.fd, conversation_.request.data(), conversation_.request.size(),
                     MSG_NOSIGNAL | MSG_WAITALL);
  sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = index * 4 + kSend;
  sqe = ring_.NextSqe();
  io_uring_prep_recv(sqe, attempt.fd, attempt.buffer.data(), attempt.buffer.size(), MSG_WAITALL);
  sqe->user_data = index * 4 + kRecv;
  return true;
}

void OpenLoad::GiveUpOverdue(Clock::time_point now) {
  while (!waiting_.empty() && waiting_.front().second + within_ <= now) {
    const auto [index, due] = waiting_.front();
    waiting_.pop_front();
    Attempt& attempt = attempts_[index];
    if (attempt.fd < 0 || attempt.due != due || attempt.given_up) continue;
    attempt.given_up = true;
    ++late_;
    // The shutdown ends whatever step is under way or begins behind it; the cancel is for a connect
    // that waits for its answer. By user_data: by descriptor the kernel would look at every
    // request.
    shutdown(attempt.fd, SHUT_RDWR);
    io_uring_sqe* sqe = ring_.NextSqe();
    io_uring_prep_cancel64(sqe, index * 4 + kConnect, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = index * 4 + kClose;
  }
}

void OpenLoad::OnCompletion(const io_uring_cqe& cqe) {
  if (cqe.user_data % 4 == kClose) return;
  const size_t index = cqe.user_data / 4;
  Attempt& attempt = attempts_[index];
  if (!attempt.given_up) Judge(attempt, cqe.user_data % 4 == kRecv ? cqe.res : -ECANCELED);
  Release(index);
}

void OpenLoad::Judge(Attempt& attempt, int32_t result) {
  const Clock::time_point now = Clock::now();
  if (result <= 0) {
    ++failed_;
    return;
  }
  const std::string_view data =
      std::string_view(attempt.buffer).substr(0, static_cast<size_t>(result));
  if (data.starts_with("HTTP/1.1 503")) {
    ++refused_;
  } else if (data.size() != conversation_.answer.size() || !conversation_.answer.Matches(0, data)) {
    throw std::runtime_error(fmt::format("not the answer expected: \"{}\"", data.substr(0, 300)));
  } else if (now > attempt.due + within_) {
    ++late_;
  } else {
    ++good_;
    milliseconds_.push_back(std::chrono::duration<float, std::milli>(now - attempt.due).count());
  }
}

void OpenLoad::Release(size_t index) {
  io_uring_sqe* sqe = ring_.NextSqe();
  io_uring_prep_close(sqe, attempts_[index].fd);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = index * 4 + kClose;
  attempts_[index].fd = -1;
  free_.push_back(index);
  --outstanding_;
}

std::string OpenLoad::DetailsJson() const {
  std::vector<float> sorted = milliseconds_;
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](double share) {
    return sorted.empty()
               ? 0.0F
               : sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
  };
  return fmt::format(
      "\"due\":{},\"refused\":{},\"late\":{},\"failed\":{},\"p50_ms\":{:.2f},\"p99_ms\":{:.2f}",
      due_, refused_, late_, failed_, at(0.5), at(0.99));
}

}  // namespace side_by_side
