#include "engine/process/daemonize.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "engine/base/write_all.h"

namespace ringmaster {
namespace {

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "cannot make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// False at end of file.
bool ReadSome(int fd, std::string& text) {
  char piece[4096];
  const ssize_t bytes = ::read(fd, piece, sizeof(piece));
  if (bytes < 0) return errno == EINTR || errno == EAGAIN;
  text.append(piece, static_cast<size_t>(bytes));
  return bytes > 0;
}

// The calling process: shows the daemon's output until the report has come whole.
int AwaitReport(int report_fd, int output_fd) {
  std::string report;
  pollfd entries[2] = {{report_fd, POLLIN, 0}, {output_fd, POLLIN, 0}};
  bool over = false;
  while (!over) {
    if (::poll(entries, 2, -1) < 0 && errno != EINTR) break;
    // Output first: what was printed before the report is shown before it.
    if (entries[1].revents != 0) {
      std::string output;
      if (!ReadSome(output_fd, output)) entries[1].fd = -1;
      WriteAll(STDERR_FILENO, output);
      continue;
    }
    if (entries[0].revents != 0) over = !ReadSome(report_fd, report);
  }
  if (report.empty()) {
    WriteAll(STDERR_FILENO, "error: the server ended before it was ready\n");
    return 1;
  }
  const bool ready = report[0] == 'R';
  WriteAll(ready ? STDOUT_FILENO : STDERR_FILENO, std::string_view(report).substr(1));
  return ready ? 0 : 1;
}

absl::Status Redirect(int to_output, const std::string& log_file) {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) return absl::ErrnoToStatus(errno, "cannot open /dev/null");
  UniqueFd log;
  if (!log_file.empty()) {
    log.Reset(::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
    if (!log.valid()) {
      return absl::ErrnoToStatus(errno, fmt::format("cannot open the log file {}", log_file));
    }
  }
  const int output = log.valid() ? log.get() : to_output >= 0 ? to_output : null.get();
  ::dup2(null.get(), STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DaemonFork> Daemonize(const std::string& log_file) {
  absl::StatusOr<Pipe> report = MakePipe();
  if (!report.ok()) return report.status();
  absl::StatusOr<Pipe> output = MakePipe();
  if (!output.ok()) return output.status();
  std::fflush(nullptr);
  const pid_t first = ::fork();
  if (first < 0) return absl::ErrnoToStatus(errno, "cannot fork");
  if (first > 0) {
    report->write_end.Reset();
    output->write_end.Reset();
    ::waitpid(first, nullptr, 0);
    DaemonFork caller;
    caller.exit_status = AwaitReport(report->read_end.get(), output->read_end.get());
    return caller;
  }
  ::setsid();
  // The second fork: not a session leader, so opening a terminal device can never make it ours.
  if (::fork() != 0) ::_exit(0);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  DaemonFork daemon;
  daemon.report.emplace(std::move(report->write_end), log_file);
  if (const absl::Status status = Redirect(output->write_end.get(), log_file); !status.ok()) {
    daemon.report->Failed(std::string(status.message()));
    ::_exit(1);
  }
  return daemon;
}

bool StartReport::Ready(std::string_view text) {
  const bool heard = WriteAll(fd_.get(), fmt::format("R{}", text));
  fd_.Reset();
  if (const absl::Status status = Redirect(-1, log_file_); !status.ok()) return false;
  return heard;
}

void StartReport::Failed(std::string_view reason) {
  if (!fd_.valid()) return;
  WriteAll(fd_.get(), fmt::format("Eerror: {}\n", reason));
  fd_.Reset();
}

}  // namespace ringmaster
