#include "engine/process/listening_sockets.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/process/unix_socket_file.h"

namespace ringmaster {
namespace {

absl::Status Explain(int error, const ListenerDefinition& listener) {
  const std::string address = listener.address.ToString();
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(fmt::format(
          "cannot listen on {}: the address is in use; `ss -ltnp` shows by whom", address));
    case EACCES:
      return absl::PermissionDeniedError(fmt::format(
          "cannot listen on {}: ports below net.ipv4.ip_unprivileged_port_start need root or "
          "CAP_NET_BIND_SERVICE (`setcap cap_net_bind_service=+ep PROGRAM`)",
          address));
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(fmt::format(
          "cannot listen on {}: this machine has no such address; see `ip address`", address));
    case EAFNOSUPPORT:
      return absl::UnavailableError(
          fmt::format("cannot listen on {}: this kernel has no such address family (is IPv6 "
                      "switched off?)",
                      address));
    case EMFILE:
      return absl::ResourceExhaustedError(fmt::format(
          "cannot listen on {}: out of descriptors; raise `ulimit -n` or LimitNOFILE=", address));
    default:
      return absl::ErrnoToStatus(error, fmt::format("cannot listen on {}", address));
  }
}

// What the kernel takes beyond what is under way to the peer; the rest waits in the output queue,
// which is bounded and counted. Left to itself the kernel keeps up to 4 MB (tcp_wmem) for a peer
// that does not read, and reports progress to one that reads slowly a megabyte at a time, too
// rarely for a write timeout that counts from it. Twice a piece of a file: one is sent while the
// next is read.
constexpr int kUnsentBytesMax = 256 * 1024;

bool SetOption(int fd, int level, int option, int value = 1) {
  return ::setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

UniqueFd BindTcp(const Address& address, bool reuse_port) {
  UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return fd;
  // IPV6_V6ONLY: "[::]:80" and "0.0.0.0:80" are two listeners; peers never show as ::ffff:1.2.3.4.
  const bool ready =
      SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR) &&
      (!reuse_port || SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT)) &&
      (address.family() != AF_INET6 || SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY)) &&
      // Accepted sockets inherit both: no system call per connection.
      SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY) &&
      SetOption(fd.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, kUnsentBytesMax) &&
      ::bind(fd.get(), address.data(), address.size()) == 0;
  if (!ready) {
    const int error = errno;
    fd.Reset();
    errno = error;
  }
  return fd;
}

absl::StatusOr<uint16_t> BoundPort(int fd) {
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return absl::ErrnoToStatus(errno, "getsockname");
  }
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                           : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
}

// SO_REUSEPORT would let us join another server's group, of the same user, and steal a share of its
// connections. So first ask without it. All addresses are asked before any is opened: our own
// listeners on 0.0.0.0:80 and 127.0.0.1:80 would refuse each other.
absl::Status ProbeAddressFree(const ListenerDefinition& listener) {
  const UniqueFd probe = BindTcp(listener.address, /*reuse_port=*/false);
  return probe.valid() ? absl::OkStatus() : Explain(errno, listener);
}

bool HasFixedTcpPort(const ListenerDefinition& listener) {
  return !listener.address.is_unix() && listener.address.port() != 0;
}

absl::Status CheckAddresses(const ServerDefinition& server) {
  std::vector<std::string> seen;
  for (const auto& listener : server.listeners()) {
    std::string address = listener->address.ToString();
    if (std::find(seen.begin(), seen.end(), address) != seen.end() &&
        (listener->address.is_unix() || HasFixedTcpPort(*listener))) {
      return absl::InvalidArgumentError(fmt::format("two listeners have the address {}", address));
    }
    seen.push_back(std::move(address));
    if (!HasFixedTcpPort(*listener)) continue;
    if (const absl::Status free = ProbeAddressFree(*listener); !free.ok()) return free;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ListeningSockets>> ListeningSockets::Open(
    const ServerDefinition& server, uint32_t worker_count) {
  if (const absl::Status status = CheckAddresses(server); !status.ok()) return status;
  std::unique_ptr<ListeningSockets> sockets(new ListeningSockets());
  for (const auto& listener : server.listeners()) {
    const absl::Status status = listener->address.is_unix()
                                    ? sockets->OpenUnix(*listener)
                                    : sockets->OpenTcp(*listener, worker_count);
    if (!status.ok()) return status;
  }
  return sockets;
}

absl::Status ListeningSockets::OpenTcp(const ListenerDefinition& listener, uint32_t worker_count) {
  Address address = listener.address;
  std::vector<UniqueFd>& sockets = sockets_.emplace_back();
  for (uint32_t worker = 0; worker < worker_count; ++worker) {
    UniqueFd fd = BindTcp(address, /*reuse_port=*/true);
    if (!fd.valid() || ::listen(fd.get(), listener.backlog) != 0) return Explain(errno, listener);
    if (address.port() == 0) {
      // The kernel chose a port for the first socket; the others join it.
      absl::StatusOr<uint16_t> port = BoundPort(fd.get());
      if (!port.ok()) return port.status();
      address.set_port(*port);
    }
    sockets.push_back(std::move(fd));
  }
  addresses_.push_back(address.ToString());
  return absl::OkStatus();
}

absl::Status ListeningSockets::OpenUnix(const ListenerDefinition& listener) {
  absl::StatusOr<UniqueFd> fd = OpenUnixListener(listener);
  if (!fd.ok()) return fd.status();
  const std::string path(listener.address.unix_path());
  struct stat file = {};
  if (::stat(path.c_str(), &file) == 0) {
    unix_files_.push_back({path, file.st_dev, file.st_ino});
  }
  sockets_.emplace_back().push_back(std::move(*fd));
  addresses_.push_back(listener.address.ToString());
  return absl::OkStatus();
}

std::vector<int> ListeningSockets::ForWorker(uint32_t worker) const {
  std::vector<int> descriptors;
  for (const std::vector<UniqueFd>& sockets : sockets_) {
    descriptors.push_back(sockets[worker < sockets.size() ? worker : 0].get());
  }
  return descriptors;
}

ListeningSockets::~ListeningSockets() {
  for (const UnixFile& ours : unix_files_) {
    struct stat there = {};
    if (::lstat(ours.path.c_str(), &there) == 0 && there.st_dev == ours.device &&
        there.st_ino == ours.inode) {
      ::unlink(ours.path.c_str());
    }
  }
}

}  // namespace ringmaster
