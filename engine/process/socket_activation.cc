#include "engine/process/socket_activation.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/process/bound_address.h"

namespace ringmaster {
namespace {

constexpr int kFirstDescriptor = 3;  // SD_LISTEN_FDS_START
// One descriptor per worker and listener is far below; a number beyond it is no service manager's.
constexpr uint64_t kDescriptorsMax = 65536;

std::optional<std::string> TakeListenVariable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  std::string text = value;
  ::unsetenv(name);
  return text;
}

absl::StatusOr<uint64_t> ReadListenNumber(const char* name, std::string_view text, uint64_t max) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stopped != end || number > max) {
    return absl::InvalidArgumentError(
        fmt::format("{} in the environment is \"{}\"; a service manager sets a whole number, {} at "
                    "most. Remove it, or start the server without it",
                    name, text, max));
  }
  return number;
}

int SocketOption(int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  return ::getsockopt(fd, level, option, &value, &size) == 0 ? value : -1;
}

bool SetTcpOption(int fd, int option, int value) {
  return ::setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value)) == 0;
}

// What the listening sockets of the master's own have, too (listening_sockets.cc).
constexpr int kActivatedUnsentBytesMax = 256 * 1024;

absl::Status PrepareActivated(int fd, const std::string& name, const std::string& address) {
  const auto refuse = [&](std::string_view reason) {
    return absl::FailedPreconditionError(fmt::format(
        "the socket {} that the service manager opened on {} {}", name, address, reason));
  };
  if (SocketOption(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM ||
      SocketOption(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1) {
    return refuse("does not listen for streams; use ListenStream= and Accept=no in the unit");
  }
  const int family = SocketOption(fd, SOL_SOCKET, SO_DOMAIN);
  // Once bound it cannot be changed. Peers would show as ::ffff:192.0.2.1, and no limit of
  // addresses, no `allow` and no `deny` would know them for what they are.
  if (family == AF_INET6 && SocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 1) {
    return refuse("takes IPv4, too; write BindIPv6Only=ipv6-only into the unit");
  }
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot make {} block", address));
  }
  if (family != AF_UNIX && (!SetTcpOption(fd, TCP_NODELAY, 1) ||
                            !SetTcpOption(fd, TCP_NOTSENT_LOWAT, kActivatedUnsentBytesMax))) {
    return refuse("does not take TCP options; it must be a TCP socket");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ActivatedSockets> ActivatedSockets::TakeFromEnvironment() {
  const std::optional<std::string> pid_text = TakeListenVariable("LISTEN_PID");
  const std::optional<std::string> count_text = TakeListenVariable("LISTEN_FDS");
  const std::optional<std::string> names = TakeListenVariable("LISTEN_FDNAMES");
  ActivatedSockets activated;
  if (!pid_text || !count_text) return activated;
  const absl::StatusOr<uint64_t> pid = ReadListenNumber("LISTEN_PID", *pid_text, INT32_MAX);
  if (!pid.ok()) return pid.status();
  if (*pid != static_cast<uint64_t>(::getpid())) return activated;
  const absl::StatusOr<uint64_t> count =
      ReadListenNumber("LISTEN_FDS", *count_text, kDescriptorsMax);
  if (!count.ok()) return count.status();
  std::string_view names_left = names ? std::string_view(*names) : std::string_view();
  for (uint64_t i = 0; i < *count; ++i) {
    const int fd = kFirstDescriptor + static_cast<int>(i);
    const size_t colon = names_left.find(':');
    const std::string_view name = names_left.substr(0, colon);
    names_left.remove_prefix(colon == std::string_view::npos ? names_left.size() : colon + 1);
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      return absl::InvalidArgumentError(fmt::format(
          "LISTEN_FDS in the environment is {}, but descriptor {} is not open", *count, fd));
    }
    activated.sockets_.push_back(
        {UniqueFd(fd), std::string(name.empty() ? "unknown" : name), BoundAddress(fd)});
  }
  return activated;
}

absl::StatusOr<std::vector<UniqueFd>> ActivatedSockets::TakeFor(const Address& configured,
                                                                uint32_t worker_count) {
  const std::string address = configured.ToString();
  std::vector<UniqueFd> taken;
  for (Socket& socket : sockets_) {
    if (!socket.fd.valid() || socket.bound != address) continue;
    if (absl::Status status = PrepareActivated(socket.fd.get(), socket.name, address);
        !status.ok()) {
      return status;
    }
    taken.push_back(std::move(socket.fd));
  }
  if (taken.size() > 1 && taken.size() != worker_count) {
    // Clients would wait for ever in the queue of a socket that no worker has, and a worker without
    // one would have nothing to do.
    return absl::FailedPreconditionError(
        fmt::format("the service manager opened {} sockets on {} for {} workers; write one "
                    "ListenStream= line, or "
                    "one per worker with ReusePort=yes, and set \"workers\"",
                    taken.size(), address, worker_count));
  }
  return taken;
}

std::vector<std::string> ActivatedSockets::Unused() const {
  std::vector<std::string> unused;
  for (const Socket& socket : sockets_) {
    if (socket.fd.valid()) unused.push_back(fmt::format("{} ({})", socket.name, socket.bound));
  }
  return unused;
}

}  // namespace ringmaster
