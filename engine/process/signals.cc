#include "engine/process/signals.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace ringmaster {
namespace {

constexpr int kMasterSignals[] = {SIGTERM, SIGQUIT, SIGINT, SIGCHLD, SIGHUP, SIGUSR1, SIGUSR2};
constexpr int kIgnoredByWorkers[] = {SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE,
                                     // A log at RLIMIT_FSIZE loses lines, not the process.
                                     SIGXFSZ};

}  // namespace

absl::StatusOr<SignalQueue> SignalQueue::Create() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : kMasterSignals) {
    ::sigaddset(&set, number);
    // nohup and shells' background jobs hand on SIG_IGN, and an ignored signal never becomes
    // pending.
    ::signal(number, SIG_DFL);
  }
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) {
    return absl::ErrnoToStatus(errno, "cannot block signals");
  }
  SignalQueue queue;
  queue.fd_.Reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!queue.fd_.valid()) return absl::ErrnoToStatus(errno, "cannot make a signalfd");
  return queue;
}

std::optional<int> SignalQueue::Next() {
  signalfd_siginfo info = {};
  if (::read(fd_.get(), &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) {
    return std::nullopt;
  }
  return static_cast<int>(info.ssi_signo);
}

void PrepareSignalsForWorker() {
  for (const int number : kIgnoredByWorkers) ::signal(number, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace ringmaster
