#include "tests/e2e/programs/steady/end_request.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace steady {

EndRequest::EndRequest(EventLoop& loop, std::function<void(std::string_view why)> on_request)
    : loop_(loop),
      on_request_(std::move(on_request)),
      signals_([this] { OnSignal(); }),
      stdin_([this] { OnStdin(); }) {}

int EndRequest::WatchSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signal_fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (signal_fd_ < 0) return errno;
  return loop_.Watch(signal_fd_, EPOLLIN, signals_);
}

int EndRequest::WatchStdin() { return loop_.Watch(STDIN_FILENO, EPOLLIN, stdin_); }

void EndRequest::OnSignal() {
  signalfd_siginfo info;
  if (read(signal_fd_, &info, sizeof info) == sizeof info) on_request_("signal");
}

void EndRequest::OnStdin() {
  char ignored[4096];
  const ssize_t bytes = read(STDIN_FILENO, ignored, sizeof ignored);
  if (bytes > 0 || (bytes < 0 && (errno == EAGAIN || errno == EINTR))) return;
  // Without EPOLLIN the end would be reported for ever; only a hang-up still is, once.
  loop_.ChangeWatch(STDIN_FILENO, EPOLLONESHOT, stdin_);
  on_request_("stdin");
}

}  // namespace steady
