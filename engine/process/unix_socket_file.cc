#include "engine/process/unix_socket_file.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "engine/sandbox/account.h"

namespace ringmaster {
namespace {

bool IsAbstract(const Address& address) {
  return address.unix_path().empty() || address.unix_path()[0] == '\0';
}

absl::Status SetOwnerAndMode(const std::string& path, const ListenerDefinition& listener) {
  // -1: unchanged, chown(2).
  absl::StatusOr<uid_t> user = static_cast<uid_t>(-1);
  if (!listener.unix_owner.empty()) user = FindUser(listener.unix_owner);
  if (!user.ok()) return user.status();
  absl::StatusOr<gid_t> group = static_cast<gid_t>(-1);
  if (!listener.unix_group.empty()) group = FindGroup(listener.unix_group);
  if (!group.ok()) return group.status();
  if (::lchown(path.c_str(), *user, *group) != 0) {
    return absl::ErrnoToStatus(
        errno, fmt::format("cannot give {} to {}:{} (only root may give files away)", path,
                           listener.unix_owner, listener.unix_group));
  }
  if (::chmod(path.c_str(), listener.unix_mode & 07777) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot set the mode of {}", path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RemoveStaleSocket(const Address& address) {
  const std::string path(address.unix_path());
  struct stat file = {};
  if (::lstat(path.c_str(), &file) != 0) return absl::OkStatus();
  if (!S_ISSOCK(file.st_mode)) {
    return absl::InvalidArgumentError(
        fmt::format("cannot listen on {}: the file exists and is not a socket", path));
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return absl::ErrnoToStatus(errno, "socket");
  const int result = ::connect(probe.get(), address.data(), address.size());
  if (result == 0 || errno != ECONNREFUSED) {
    // EAGAIN: somebody listens and his backlog is full. EACCES: we may not know, so we may not
    // remove.
    if (result == 0 || errno == EAGAIN || errno == EPROTOTYPE) {
      return absl::AlreadyExistsError(
          fmt::format("cannot listen on {}: another server listens there", path));
    }
    return absl::ErrnoToStatus(errno,
                               fmt::format("cannot find out whether {} is still in use", path));
  }
  if (::unlink(path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot remove the stale socket {}", path));
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> OpenUnixListener(const ListenerDefinition& listener) {
  const std::string path(listener.address.unix_path());
  const bool has_file = !IsAbstract(listener.address);
  if (has_file) {
    if (const absl::Status status = RemoveStaleSocket(listener.address); !status.ok()) {
      return status;
    }
  }
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "cannot make a unix socket");
  // Made without any permission bit: nobody can connect before owner and mode are what they should
  // be.
  const mode_t old_mask = ::umask(0777);
  const int bound = ::bind(fd.get(), listener.address.data(), listener.address.size());
  const int error = errno;
  ::umask(old_mask);
  if (bound != 0) {
    return absl::ErrnoToStatus(error,
                               fmt::format("cannot listen on {}", listener.address.ToString()));
  }
  absl::Status status = has_file ? SetOwnerAndMode(path, listener) : absl::OkStatus();
  if (status.ok() && ::listen(fd.get(), listener.backlog) != 0) {
    status = absl::ErrnoToStatus(errno, fmt::format("cannot listen on {}", path));
  }
  if (!status.ok()) {
    if (has_file) ::unlink(path.c_str());
    return status;
  }
  return fd;
}

}  // namespace ringmaster
