#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"

namespace ringmaster {

// Tells whoever typed `start -d` how it went, once.
class StartReport {
 public:
  explicit StartReport(UniqueFd fd, std::string log_file)
      : fd_(std::move(fd)), log_file_(std::move(log_file)) {}

  // Also lets go of the caller's terminal. False when the caller is gone already: the user has
  // interrupted the start.
  bool Ready(std::string_view text);
  void Failed(std::string_view reason);

 private:
  UniqueFd fd_;
  std::string log_file_;
};

// What Daemonize returns, in each of the two processes.
struct DaemonFork {
  // In the daemon.
  std::optional<StartReport> report;
  // In the process that was called: the start is over, exit with this.
  int exit_status = 0;
};

// Forks twice and leaves session and terminal; the working directory stays, so that relative paths
// keep their meaning. The calling process waits until the daemon has reported, showing what daemon
// and workers print, and prints the report. The daemon's output goes to `log_file`, if one is
// named; otherwise to the caller until the report and to /dev/null from then on.
absl::StatusOr<DaemonFork> Daemonize(const std::string& log_file);

}  // namespace ringmaster
