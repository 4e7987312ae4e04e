#include "tests/e2e/programs/steady/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace steady {
namespace {

// Larger than all answers that can be on their way to one connection in the ordinary case.
constexpr size_t kReceiveBytes = 64 * 1024;
// An end that has come with the last bytes is said with them, and costs no wake-up of its own.
constexpr uint32_t kInput = EPOLLIN | EPOLLRDHUP;

sockaddr_in Loopback(uint8_t last_octet, uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl((INADDR_LOOPBACK & ~0xFFu) | last_octet);
  return address;
}

}  // namespace

Stream::Stream(EventLoop& loop) : loop_(loop), gap_timer_(loop, [this] { Flush(); }) {}

int Stream::Open(uint16_t port, std::string_view bytes, uint8_t source) {
  Close();
  ++opening_;
  local_port_ = 0;
  write_error_ = 0;
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return errno;
  const int on = 1;
  int error = 0;
  // Pieces of one message are meant to leave as they are written. What is sent whole with the
  // connection does not need it.
  if (bytes.empty()) setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (source != 1) {
    // The port is chosen at connect, where it needs to be free for this destination only.
    setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    const sockaddr_in from = Loopback(source, 0);
    if (bind(fd_, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) error = errno;
  }
  const sockaddr_in to = Loopback(1, port);
  if (error == 0 && connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 &&
      errno != EINPROGRESS) {
    error = errno;
  }
  // On loopback the handshake is mostly done by now, although connect did not wait for it.
  size_t sent = 0;
  if (error == 0 && !bytes.empty()) {
    sent = Write(bytes);
    error = write_error_;
  }
  connecting_ = sent == 0;
  if (sent < bytes.size()) unsent_.push_back({std::string(bytes.substr(sent)), 0});
  watching_output_ = connecting_ || !unsent_.empty();
  if (error == 0) {
    error = loop_.Watch(fd_, kInput | (watching_output_ ? EPOLLOUT : 0u), *this);
  }
  if (error != 0) {
    local_port();
    Close();
  }
  return error;
}

void Stream::Send(std::string_view bytes, Nanoseconds gap) {
  if (fd_ < 0 || write_error_ != 0) return;
  if (unsent_.empty() && gap == 0 && !connecting_) {
    bytes.remove_prefix(Write(bytes));
    if (bytes.empty() || write_error_ != 0) return;
  }
  unsent_.push_back({std::string(bytes), gap});
  if (unsent_.size() > 1 || connecting_) return;
  if (gap > 0) {
    gap_timer_.SetAt(AlignToTick(MonotonicNow() + gap - kTick));
  } else {
    WatchForOutput(true);
  }
}

void Stream::DropUnsent() {
  unsent_.clear();
  gap_timer_.Cancel();
}

void Stream::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  connecting_ = false;
  watching_output_ = false;
  DropUnsent();
}

uint16_t Stream::local_port() {
  if (local_port_ == 0 && fd_ >= 0) {
    sockaddr_in address = {};
    socklen_t bytes = sizeof address;
    if (getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &bytes) == 0) {
      local_port_ = ntohs(address.sin_port);
    }
  }
  return local_port_;
}

void Stream::OnEvents(uint32_t events) {
  if (fd_ < 0) return;
  const uint64_t opening = opening_;
  if (connecting_ && !FinishConnect()) return;
  if (opening_ == opening && fd_ >= 0 && (events & EPOLLOUT) != 0) Flush();
  if (opening_ == opening && fd_ >= 0 && (events & ~EPOLLOUT) != 0) {
    Receive((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
  }
}

bool Stream::FinishConnect() {
  int error = 0;
  socklen_t bytes = sizeof error;
  getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &bytes);
  if (error != 0) {
    End(error);
    return false;
  }
  sockaddr_in peer;
  bytes = sizeof peer;
  // An event that was meant for the descriptor before this one.
  if (getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &bytes) != 0) return false;
  connecting_ = false;
  WatchForOutput(!unsent_.empty());
  OnConnected();
  return true;
}

void Stream::Receive(bool to_the_end) {
  static char buffer[kReceiveBytes];
  const uint64_t opening = opening_;
  while (fd_ >= 0 && opening_ == opening) {
    const ssize_t bytes = recv(fd_, buffer, sizeof buffer, 0);
    if (bytes > 0) {
      OnReceived({buffer, static_cast<size_t>(bytes)});
      // Less than there was room for: the socket is empty, or epoll says that it is not.
      if (static_cast<size_t>(bytes) < sizeof buffer && !to_the_end) return;
    } else if (bytes == 0) {
      // EPIPE means that the peer had ended its side before; a reset may have been reported to the
      // write alone.
      return End(write_error_ == ECONNRESET ? ECONNRESET : 0);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      return End(errno);
    }
  }
}

void Stream::Flush() {
  if (fd_ < 0 || connecting_) return;
  bool first = true;
  while (!unsent_.empty() && write_error_ == 0) {
    Chunk& chunk = unsent_.front();
    if (!first && chunk.gap > 0) {
      gap_timer_.SetAt(AlignToTick(MonotonicNow() + chunk.gap - kTick));
      break;
    }
    if (gap_timer_.armed()) break;
    first = false;
    const size_t sent = Write(chunk.bytes);
    if (sent < chunk.bytes.size()) {
      chunk.bytes.erase(0, sent);
      chunk.gap = 0;
      break;
    }
    unsent_.pop_front();
  }
  if (write_error_ != 0) DropUnsent();
  WatchForOutput(!unsent_.empty() && !gap_timer_.armed());
}

size_t Stream::Write(std::string_view bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count >= 0) {
      sent += static_cast<size_t>(count);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      write_error_ = errno;
      break;
    }
  }
  return sent;
}

void Stream::End(int error) {
  const uint64_t opening = opening_;
  OnEnded(error);
  if (opening_ == opening) Close();
}

void Stream::WatchForOutput(bool wanted) {
  if (wanted == watching_output_ || fd_ < 0) return;
  watching_output_ = wanted;
  loop_.ChangeWatch(fd_, kInput | (wanted ? EPOLLOUT : 0u), *this);
}

}  // namespace steady
