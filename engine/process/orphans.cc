#include "engine/process/orphans.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/base/descriptor_passing.h"
#include "engine/process/await_readable.h"

namespace ringmaster {
namespace {

// Workers of one master call at the same moment at most.
constexpr int kCallersMax = 64;

bool SocketAddressOf(const std::string& path, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return false;
  std::memcpy(address.sun_path, path.data(), path.size());
  return true;
}

// 0, or errno.
int ConnectToDoor(const std::string& path, UniqueFd& fd) {
  sockaddr_un address;
  if (!SocketAddressOf(path, address)) return ENOENT;
  fd.Reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // So that the kernel says who answers.
  const int on = 1;
  if (!fd.valid() || ::setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0 ||
      ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return errno;
  }
  return 0;
}

bool NobodyThere(int error) { return error == ECONNREFUSED || error == ENOENT; }

// nullopt: its other end is gone.
absl::StatusOr<std::optional<OrphanedWorker>> HearOut(UniqueFd connection, TimePoint deadline) {
  const auto silent = [] {
    return absl::DeadlineExceededError(
        "a process of the master that is gone does not answer: a handler may hold its loop, or it "
        "is still stopping; `ps` shows it by its title");
  };
  OrphanedWorker worker;
  if (!AwaitReadable(connection.get(), deadline)) return silent();
  ReceivedDescriptors hello = ReceiveDescriptors(connection.get(), OrphanHello::kBytesMax);
  if (hello.ended || hello.bytes.empty()) return std::nullopt;
  std::optional<OrphanHello> read = OrphanHello::Read(hello.bytes);
  if (!read || hello.sender <= 0) {
    return absl::FailedPreconditionError(
        "a worker whose master is gone is of another release; `stop` with that release's program, "
        "or end it with SIGKILL: `ps` shows it by its title");
  }
  worker.hello = *std::move(read);
  worker.pid = hello.sender;
  while (worker.sockets.size() < worker.hello.listeners.size()) {
    if (!AwaitReadable(connection.get(), deadline)) return silent();
    ReceivedDescriptors piece = ReceiveDescriptors(connection.get(), 16);
    if (piece.truncated) {
      return absl::ResourceExhaustedError(
          "out of descriptors for the listening sockets of a worker whose master is gone; raise "
          "`ulimit -n` or LimitNOFILE=");
    }
    if (piece.ended || piece.fds.empty()) return std::nullopt;
    for (UniqueFd& fd : piece.fds) worker.sockets.push_back(std::move(fd));
  }
  const int off = 0;
  ::setsockopt(connection.get(), SOL_SOCKET, SO_PASSCRED, &off, sizeof(off));
  worker.process.Reset(static_cast<int>(::syscall(SYS_pidfd_open, worker.pid, 0)));
  if (!worker.process.valid()) return std::nullopt;
  worker.connection = std::move(connection);
  return worker;
}

}  // namespace

std::vector<std::string> OrphanDoor::Paths(const RuntimePaths& paths) {
  std::vector<std::string> doors;
  for (const char* const number : {"", "-2", "-3"}) {
    doors.push_back(fmt::format("{}{}", paths.orphan_door, number));
  }
  return doors;
}

absl::StatusOr<OrphanDoor> OrphanDoor::Open(const RuntimePaths& paths) {
  for (const std::string& path : Paths(paths)) {
    sockaddr_un address;
    if (!SocketAddressOf(path, address)) {
      return absl::InvalidArgumentError(fmt::format("the path {} is too long for a socket", path));
    }
    UniqueFd probe;
    const int error = ConnectToDoor(path, probe);
    if (!NobodyThere(error)) continue;
    struct stat file = {};
    if (::lstat(path.c_str(), &file) == 0 && S_ISSOCK(file.st_mode)) ::unlink(path.c_str());
    // Shared by processes that all wait for a caller, and only one gets it.
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return absl::ErrnoToStatus(errno, "cannot make a unix socket");
    const mode_t old_mask = ::umask(0177);
    const int bound = ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
    const int bind_error = errno;
    ::umask(old_mask);
    if (bound != 0) return absl::ErrnoToStatus(bind_error, fmt::format("cannot bind {}", path));
    // From now on, so that a caller waits for a worker that has not noticed its master's end yet.
    if (::listen(fd.get(), kCallersMax) != 0) {
      return absl::ErrnoToStatus(errno, fmt::format("cannot listen on {}", path));
    }
    return OrphanDoor(path, std::move(fd));
  }
  return absl::UnavailableError(
      fmt::format("processes of several masters that are gone wait behind {}: `stop` them, then "
                  "start again",
                  fmt::join(Paths(paths), ", ")));
}

OrphanDoor::~OrphanDoor() {
  if (fd_.valid() && !path_.empty()) ::unlink(path_.c_str());
}

absl::StatusOr<std::optional<OrphanedWorker>> CallOrphan(const std::string& path,
                                                         TimePoint deadline) {
  while (true) {
    UniqueFd connection;
    const int error = ConnectToDoor(path, connection);
    if (NobodyThere(error)) return std::nullopt;
    // EAGAIN: its queue is full.
    if (error != 0 && error != EAGAIN && error != EINTR) {
      return absl::ErrnoToStatus(error, fmt::format("cannot connect to {}", path));
    }
    if (error == 0) {
      absl::StatusOr<std::optional<OrphanedWorker>> worker =
          HearOut(std::move(connection), deadline);
      if (!worker.ok() || worker->has_value()) return worker;
    }
    if (MonotonicNow() >= deadline) {
      return absl::DeadlineExceededError(fmt::format("whoever is behind {} lets nobody in", path));
    }
    ::poll(nullptr, 0, 5);
  }
}

}  // namespace ringmaster
