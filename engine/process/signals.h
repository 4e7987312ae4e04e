#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"

namespace ringmaster {

// The master's signals as a descriptor, so that its loop handles them between other events and no
// handler ever interrupts it: SIGTERM, SIGQUIT, SIGINT, SIGCHLD, SIGHUP, SIGUSR1, SIGUSR2.
class SignalQueue {
 public:
  // Blocks these signals in this process and ignores SIGPIPE.
  static absl::StatusOr<SignalQueue> Create();

  int fd() const { return fd_.get(); }
  // The next signal; nullopt when none is pending.
  std::optional<int> Next();

 private:
  UniqueFd fd_;
};

// For a child between fork and exec. A worker obeys its control socket alone: a Ctrl-C in the
// terminal or a SIGTERM to the whole control group reaches the master too, and the master says what
// to do. SIG_IGN survives exec, so there is no moment at which such a signal would end it.
void PrepareSignalsForWorker();

}  // namespace ringmaster
