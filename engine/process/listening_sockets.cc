#include "engine/process/listening_sockets.h"

#include <fmt/format.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/process/bound_address.h"
#include "engine/process/socket_activation.h"
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

// The kernel chooses among the first `count` sockets of a group, in the order in which they began
// to listen, at random (socket(7), SO_ATTACH_REUSEPORT_CBPF). Who is in a queue stays there.
absl::Status Steer(const std::vector<UniqueFd>& sockets, uint32_t count) {
  sock_filter code[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_RANDOM)},
      {BPF_ALU | BPF_MOD | BPF_K, 0, 0, count},
      {BPF_RET | BPF_A, 0, 0, 0},
  };
  const sock_fprog program = {static_cast<uint16_t>(std::size(code)), code};
  if (::setsockopt(sockets.front().get(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
                   sizeof(program)) != 0) {
    return absl::ErrnoToStatus(errno, "cannot steer new connections among listening sockets");
  }
  return absl::OkStatus();
}

uint64_t CookieOf(int fd) {
  uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  return ::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

// Whether it accepts streams at the address that `key` begins with; a port of 0 has become one.
bool ListensAt(int fd, const Address& bound, const std::string& key) {
  int listens = 0;
  int type = 0;
  socklen_t size = sizeof(int);
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens != 1 ||
      ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) {
    return false;
  }
  absl::StatusOr<Address> wanted = Address::Parse(key.substr(0, key.find(" (")));
  if (!wanted.ok()) return false;
  if (!wanted->is_unix() && !bound.is_unix() && wanted->port() == 0) {
    wanted->set_port(bound.port());
  }
  return *wanted == bound;
}

void SteerNoMore(const std::vector<UniqueFd>& sockets) {
  SetOption(sockets.front().get(), SOL_SOCKET, SO_DETACH_REUSEPORT_BPF);
}

}  // namespace

ListeningSockets::Group* ListeningSockets::Find(const std::string& key) {
  const auto found = std::find_if(groups_.begin(), groups_.end(),
                                  [&key](const Group& group) { return group.key == key; });
  return found == groups_.end() ? nullptr : &*found;
}

const ListeningSockets::Group& ListeningSockets::At(const std::string& key) const {
  const auto found = std::find_if(groups_.begin(), groups_.end(),
                                  [&key](const Group& group) { return group.key == key; });
  CHECK(found != groups_.end());
  return *found;
}

bool ListeningSockets::SharesPort(const ListenerDefinition& listener) const {
  return std::any_of(groups_.begin(), groups_.end(), [&listener](const Group& group) {
    return !group.address.is_unix() && group.address.port() == listener.address.port();
  });
}

absl::Status ListeningSockets::CheckAddresses(const ServerDefinition& server) {
  std::vector<std::string> seen;
  for (const auto& listener : server.listeners()) {
    std::string address = listener->address.ToString();
    if (std::find(seen.begin(), seen.end(), address) != seen.end() &&
        (listener->address.is_unix() || HasFixedTcpPort(*listener))) {
      return absl::InvalidArgumentError(fmt::format("two listeners have the address {}", address));
    }
    seen.push_back(std::move(address));
    // Where we listen on that port already, on whatever address, asking would find ourselves.
    if (!HasFixedTcpPort(*listener) || SharesPort(*listener)) continue;
    if (const absl::Status free = ProbeAddressFree(*listener); !free.ok()) return free;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ListeningSockets>> ListeningSockets::Open(
    const ServerDefinition& server, uint32_t worker_count, ActivatedSockets* activated,
    std::vector<FoundSocket> found) {
  std::unique_ptr<ListeningSockets> sockets(new ListeningSockets());
  if (activated != nullptr) {
    const absl::Status status = sockets->TakeActivated(server, worker_count, *activated);
    if (!status.ok()) return status;
  }
  sockets->TakeFound(std::move(found));
  if (const absl::Status status = sockets->Add(server, worker_count); !status.ok()) {
    sockets->LeaveFound();
    return status;
  }
  return sockets;
}

// A worker hands over what it has, and it is the least trusted process of the server.
void ListeningSockets::TakeFound(std::vector<FoundSocket> found) {
  for (FoundSocket& socket : found) {
    const int fd = socket.fd.get();
    absl::StatusOr<Address> bound = Address::Parse(BoundAddress(fd));
    if (!bound.ok() || !ListensAt(fd, *bound, socket.key)) {
      log::Get().warn("a worker whose master is gone has no listening socket at {}", socket.key);
      continue;
    }
    Group* group = Find(socket.key);
    if (group == nullptr) {
      group = &groups_.emplace_back();
      group->key = socket.key;
      group->address = *bound;
      group->found = true;
      group->shared = bound->is_unix();
      RememberFile(*group);
    }
    const auto same = [fd](const UniqueFd& other) { return CookieOf(other.get()) == CookieOf(fd); };
    if (std::any_of(group->sockets.begin(), group->sockets.end(), same)) continue;
    group->sockets.push_back(std::move(socket.fd));
    group->served_count = static_cast<uint32_t>(group->sockets.size());
    if (group->sockets.size() > 1) group->shared = false;
  }
}

void ListeningSockets::LeaveFound() {
  for (Group& group : groups_) {
    if (group.found) group.inode = 0;
  }
}

absl::Status ListeningSockets::TakeActivated(const ServerDefinition& server, uint32_t worker_count,
                                             ActivatedSockets& activated) {
  const std::vector<std::string> keys = ListenerKeys(server);
  for (size_t i = 0; i < keys.size(); ++i) {
    const ListenerDefinition& listener = *server.listeners()[i];
    absl::StatusOr<std::vector<UniqueFd>> given = activated.TakeFor(listener.address, worker_count);
    if (!given.ok()) return given.status();
    if (given->empty()) continue;
    Group& group = groups_.emplace_back();
    group.key = keys[i];
    group.address = listener.address;
    group.sockets = *std::move(given);
    group.served_count = static_cast<uint32_t>(group.sockets.size());
    group.shared = group.sockets.size() == 1;
    group.given = true;
  }
  for (const std::string& unused : activated.Unused()) {
    log::Get().warn("no listener has the address of the socket that was passed: {}", unused);
  }
  return absl::OkStatus();
}

absl::Status ListeningSockets::Add(const ServerDefinition& server, uint32_t worker_count) {
  if (const absl::Status status = CheckAddresses(server); !status.ok()) return status;
  const std::vector<std::string> keys = ListenerKeys(server);
  const size_t groups_before = groups_.size();
  absl::Status status;
  for (size_t i = 0; i < keys.size() && status.ok(); ++i) {
    const ListenerDefinition& listener = *server.listeners()[i];
    if (Group* const group = Find(keys[i])) {
      status = Grow(*group, listener, worker_count);
    } else {
      groups_.emplace_back().key = keys[i];
      groups_.back().address = listener.address;
      status = listener.address.is_unix() ? OpenUnix(groups_.back(), listener)
                                          : OpenTcp(groups_.back(), listener, worker_count);
    }
  }
  if (!status.ok()) {
    while (groups_.size() > groups_before) Remove(groups_.size() - 1);
  }
  return status;
}

// What a group already has is in use; what is added gets no connection before Keep.
absl::Status ListeningSockets::Grow(Group& group, const ListenerDefinition& listener,
                                    uint32_t worker_count) {
  for (const UniqueFd& fd : group.sockets) {
    if (::listen(fd.get(), listener.backlog) != 0) return Explain(errno, listener);
  }
  if (group.shared || group.given || group.sockets.size() >= worker_count) {
    return absl::OkStatus();
  }
  const absl::Status steered = Steer(group.sockets, group.served_count);
  return steered.ok() ? OpenTcp(group, listener, worker_count) : steered;
}

absl::Status ListeningSockets::OpenTcp(Group& group, const ListenerDefinition& listener,
                                       uint32_t worker_count) {
  while (group.sockets.size() < worker_count) {
    UniqueFd fd = BindTcp(group.address, /*reuse_port=*/true);
    if (!fd.valid() || ::listen(fd.get(), listener.backlog) != 0) return Explain(errno, listener);
    if (group.address.port() == 0) {
      // The kernel chose a port for the first socket; the others join it.
      absl::StatusOr<uint16_t> port = BoundPort(fd.get());
      if (!port.ok()) return port.status();
      group.address.set_port(*port);
    }
    group.sockets.push_back(std::move(fd));
  }
  if (group.served_count == 0) group.served_count = worker_count;
  return absl::OkStatus();
}

absl::Status ListeningSockets::OpenUnix(Group& group, const ListenerDefinition& listener) {
  absl::StatusOr<UniqueFd> fd = OpenUnixListener(listener);
  if (!fd.ok()) return fd.status();
  group.served_count = 1;
  group.shared = true;
  group.sockets.push_back(std::move(*fd));
  RememberFile(group);
  return absl::OkStatus();
}

void ListeningSockets::RememberFile(Group& group) {
  struct stat file = {};
  const std::string path(group.address.unix_path());
  if (!path.empty() && ::stat(path.c_str(), &file) == 0) {
    group.device = file.st_dev;
    group.inode = file.st_ino;
  }
}

void ListeningSockets::Keep(const ServerDefinition& server, uint32_t worker_count) {
  const std::vector<std::string> keys = ListenerKeys(server);
  for (size_t i = groups_.size(); i-- > 0;) {
    Group& group = groups_[i];
    if (std::find(keys.begin(), keys.end(), group.key) == keys.end()) {
      Remove(i);
      continue;
    }
    if (group.shared || group.given) continue;
    if (group.found) {
      group.served_count = static_cast<uint32_t>(group.sockets.size());
      SteerNoMore(group.sockets);
      continue;
    }
    group.served_count = worker_count;
    if (group.sockets.size() == worker_count) {
      SteerNoMore(group.sockets);
    } else if (const absl::Status steered = Steer(group.sockets, worker_count); !steered.ok()) {
      log::Get().warn("{}: workers get unequal shares", std::string(steered.message()));
    }
  }
}

std::vector<ListeningSocket> ListeningSockets::ForWorker(const ServerDefinition& server,
                                                         uint32_t worker,
                                                         uint32_t worker_count) const {
  const std::vector<std::string> keys = ListenerKeys(server);
  std::vector<ListeningSocket> given;
  for (uint32_t listener = 0; listener < keys.size(); ++listener) {
    const Group& group = At(keys[listener]);
    // More workers than sockets: they share.
    if (group.shared || worker >= group.sockets.size()) {
      given.push_back({listener, group.sockets[worker % group.sockets.size()].get()});
      continue;
    }
    for (size_t i = worker; i < group.sockets.size(); i += worker_count) {
      given.push_back({listener, group.sockets[i].get()});
    }
  }
  return given;
}

std::vector<std::string> ListeningSockets::Addresses(const ServerDefinition& server) const {
  std::vector<std::string> addresses;
  for (const std::string& key : ListenerKeys(server))
    addresses.push_back(At(key).address.ToString());
  return addresses;
}

void ListeningSockets::Save(StateWriter& out, std::vector<int>& kept) const {
  out.Unsigned(groups_.size());
  for (const Group& group : groups_) {
    out.Bytes(group.key);
    out.Bytes(group.address.ToString());
    out.Unsigned(group.served_count);
    out.Bool(group.shared);
    out.Bool(group.given);
    out.Bool(group.found);
    out.Unsigned(group.device);
    out.Unsigned(group.inode);
    out.Unsigned(group.sockets.size());
    for (const UniqueFd& socket : group.sockets) {
      out.Signed(socket.get());
      kept.push_back(socket.get());
    }
  }
}

std::unique_ptr<ListeningSockets> ListeningSockets::Resume(StateReader& in) {
  std::unique_ptr<ListeningSockets> sockets(new ListeningSockets());
  const uint64_t count = in.Unsigned();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    Group& group = sockets->groups_.emplace_back();
    group.key = in.Bytes();
    absl::StatusOr<Address> address = Address::Parse(in.Bytes());
    if (!address.ok()) in.Fail();
    if (address.ok()) group.address = *std::move(address);
    group.served_count = static_cast<uint32_t>(in.Unsigned());
    group.shared = in.Bool();
    group.given = in.Bool();
    group.found = in.Bool();
    group.device = in.Unsigned();
    group.inode = in.Unsigned();
    const uint64_t socket_count = in.Unsigned();
    for (uint64_t j = 0; j < socket_count && in.ok(); ++j) {
      group.sockets.emplace_back(static_cast<int>(in.Signed()));
    }
  }
  return sockets;
}

void ListeningSockets::Remove(size_t index) {
  const Group& group = groups_[index];
  struct stat there = {};
  const std::string path(group.address.unix_path());
  if (group.inode != 0 && ::lstat(path.c_str(), &there) == 0 && there.st_dev == group.device &&
      there.st_ino == group.inode) {
    ::unlink(path.c_str());
  }
  groups_.erase(groups_.begin() + static_cast<std::ptrdiff_t>(index));
}

ListeningSockets::~ListeningSockets() {
  while (!groups_.empty()) Remove(groups_.size() - 1);
}

}  // namespace ringmaster
