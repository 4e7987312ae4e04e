#include "engine/process/control_client.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/base/unique_fd.h"
#include "engine/process/await_readable.h"
#include "engine/stats/shared_status.h"

namespace ringmaster {
namespace {

absl::StatusOr<UniqueFd> ConnectTo(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(fmt::format("the path {} is too long for a socket", path));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid() ||
      ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot connect to {}", path));
  }
  return fd;
}

}  // namespace

absl::StatusOr<std::string> AskMaster(const std::string& path, std::string_view request,
                                      Duration timeout) {
  const TimePoint deadline = DeadlineAfter(MonotonicNow(), timeout);
  absl::StatusOr<UniqueFd> fd = ConnectTo(path);
  if (!fd.ok()) return fd.status();
  const std::string line = fmt::format("{}\n", request);
  if (::send(fd->get(), line.data(), line.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(line.size())) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot send to {}", path));
  }
  std::string answer;
  char piece[16 * 1024];
  while (true) {
    if (!AwaitReadable(fd->get(), deadline)) {
      return absl::DeadlineExceededError(fmt::format("the master does not answer on {}", path));
    }
    const ssize_t bytes = ::recv(fd->get(), piece, sizeof(piece), 0);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return absl::ErrnoToStatus(errno, fmt::format("cannot read from {}", path));
    if (bytes == 0) break;
    answer.append(piece, static_cast<size_t>(bytes));
  }
  if (answer.starts_with("error ")) return absl::InternalError(answer.substr(6));
  if (answer.empty()) return absl::UnavailableError("the master ended without an answer");
  return answer;
}

absl::Status WaitForExit(pid_t pid, Duration timeout) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) {
    if (errno == ESRCH) return absl::OkStatus();
    return absl::ErrnoToStatus(errno, fmt::format("cannot watch process {}", pid));
  }
  if (!AwaitReadable(process.get(), DeadlineAfter(MonotonicNow(), timeout))) {
    return absl::DeadlineExceededError(
        fmt::format("process {} has not ended within {} s", pid,
                    std::chrono::duration_cast<std::chrono::seconds>(timeout).count()));
  }
  return absl::OkStatus();
}

}  // namespace ringmaster
