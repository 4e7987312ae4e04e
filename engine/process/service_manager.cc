#include "engine/process/service_manager.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace ringmaster {
namespace {

constexpr const char* kSocketVariable = "NOTIFY_SOCKET";
constexpr const char* kTimeoutVariable = "WATCHDOG_USEC";
constexpr const char* kPidVariable = "WATCHDOG_PID";

std::optional<std::string> TakeVariable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  std::string text = value;
  ::unsetenv(name);
  return text;
}

absl::StatusOr<int64_t> ReadPositive(const char* name, std::string_view text) {
  int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stopped != end || number <= 0) {
    return absl::InvalidArgumentError(
        fmt::format("{} in the environment is \"{}\"; a service manager sets a whole number above "
                    "0. Remove it, or start the server without it",
                    name, text));
  }
  return number;
}

// The address's size; 0 when `path` is none. A path is without its NUL here: so is the address that
// the other side was bound to, and for an abstract name every byte counts.
socklen_t ToAddress(std::string_view path, sockaddr_un& address) {
  const bool abstract = path.starts_with('@');
  if (path.size() < 2 || (!abstract && path[0] != '/') || path.size() >= sizeof(address.sun_path)) {
    return 0;
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (abstract) address.sun_path[0] = '\0';
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
}

// A line break would end the value and begin an assignment of its own.
std::string StatusLine(std::string_view status) {
  if (status.empty()) return "";
  std::string line = fmt::format("\nSTATUS={}", status);
  std::replace(line.begin() + 1, line.end(), '\n', ' ');
  return line;
}

}  // namespace

absl::StatusOr<ServiceManager> ServiceManager::TakeFromEnvironment() {
  // All are taken before the first is judged, so that none is left for a worker.
  const std::optional<std::string> path = TakeVariable(kSocketVariable);
  const std::optional<std::string> timeout = TakeVariable(kTimeoutVariable);
  const std::optional<std::string> pid = TakeVariable(kPidVariable);
  ServiceManager manager;
  if (!path) return manager;
  sockaddr_un address = {};
  if (ToAddress(*path, address) == 0) {
    return absl::InvalidArgumentError(fmt::format(
        "NOTIFY_SOCKET in the environment is \"{}\"; it is an absolute path or \"@\" and "
        "an abstract name, of {} bytes at most",
        *path, sizeof(address.sun_path) - 1));
  }
  if (timeout) {
    const absl::StatusOr<int64_t> microseconds = ReadPositive(kTimeoutVariable, *timeout);
    if (!microseconds.ok()) return microseconds.status();
    absl::StatusOr<int64_t> watched = ::getpid();
    if (pid) watched = ReadPositive(kPidVariable, *pid);
    if (!watched.ok()) return watched.status();
    // The variables pass on to children; only the process that they name is watched.
    if (*watched == ::getpid()) {
      constexpr int64_t kMicrosecondsMax = INT64_MAX / 1000;
      manager.watchdog_timeout_ =
          std::chrono::microseconds(std::min(*microseconds, kMicrosecondsMax));
    }
  }
  manager.socket_.Reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!manager.socket_.valid()) {
    return absl::ErrnoToStatus(errno, "cannot make a socket for the service manager");
  }
  const timeval patience = {.tv_sec = 1, .tv_usec = 0};
  if (::setsockopt(manager.socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) !=
      0) {
    return absl::ErrnoToStatus(errno, "cannot bound the wait for the service manager");
  }
  manager.path_ = *path;
  return manager;
}

std::optional<Duration> ServiceManager::watchdog_interval() const {
  if (watchdog_timeout_ == Duration::zero()) return std::nullopt;
  return watchdog_timeout_ / 2;
}

absl::Status ServiceManager::Ready(std::string_view status) {
  return Send(fmt::format("READY=1{}", StatusLine(status)), IfFull::kWait);
}

absl::Status ServiceManager::Reloading(TimePoint now, std::string_view status) {
  return Send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}{}", now / 1000, StatusLine(status)),
              IfFull::kWait);
}

absl::Status ServiceManager::Stopping(std::string_view status) {
  return Send(fmt::format("STOPPING=1{}", StatusLine(status)), IfFull::kWait);
}

absl::Status ServiceManager::Status(std::string_view status) {
  if (status.empty()) return absl::OkStatus();
  return Send(std::string_view(StatusLine(status)).substr(1), IfFull::kFail);
}

absl::Status ServiceManager::Watchdog() { return Send("WATCHDOG=1", IfFull::kFail); }

absl::Status ServiceManager::MainPid(pid_t pid) {
  return Send(fmt::format("MAINPID={}", pid), IfFull::kWait);
}

absl::Status ServiceManager::Send(std::string_view message, IfFull if_full) {
  if (!present()) return absl::OkStatus();
  sockaddr_un address = {};
  const socklen_t address_bytes = ToAddress(path_, address);
  const int flags = MSG_NOSIGNAL | (if_full == IfFull::kFail ? MSG_DONTWAIT : 0);
  ssize_t bytes = -1;
  do {
    // To the address and not over a connection: a service manager that executes itself anew has
    // another socket behind the same name.
    bytes = ::sendto(socket_.get(), message.data(), message.size(), flags,
                     reinterpret_cast<const sockaddr*>(&address), address_bytes);
  } while (bytes < 0 && errno == EINTR);
  if (bytes >= 0) return absl::OkStatus();
  const std::string_view first_line = message.substr(0, message.find('\n'));
  return absl::UnavailableError(fmt::format("cannot tell the service manager {}: {}: {}",
                                            first_line, path_, std::strerror(errno)));
}

std::vector<std::string> ServiceManager::Environment() const {
  if (!present()) return {};
  std::vector<std::string> variables = {fmt::format("{}={}", kSocketVariable, path_)};
  if (watchdog_timeout_ > Duration::zero()) {
    variables.push_back(fmt::format("{}={}", kTimeoutVariable, watchdog_timeout_.count() / 1000));
    variables.push_back(fmt::format("{}={}", kPidVariable, ::getpid()));
  }
  return variables;
}

}  // namespace ringmaster
