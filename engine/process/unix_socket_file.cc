#include "engine/process/unix_socket_file.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>
#include <utility>
#include <vector>

namespace ringmaster {
namespace {

constexpr size_t kAccountBufferBytes = 64 * 1024;

bool ParseId(const std::string& text, uint32_t& id) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  return error == std::errc() && end == text.data() + text.size();
}

// Names and numbers; -1 (unchanged) for an empty name, as chown(2) takes it.
absl::StatusOr<uid_t> FindUser(const std::string& name) {
  uid_t id = static_cast<uid_t>(-1);
  if (name.empty() || ParseId(name, id)) return id;
  std::vector<char> buffer(kAccountBufferBytes);
  passwd entry = {};
  passwd* found = nullptr;
  ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return absl::InvalidArgumentError(fmt::format("there is no user \"{}\" here", name));
  }
  return found->pw_uid;
}

absl::StatusOr<gid_t> FindGroup(const std::string& name) {
  gid_t id = static_cast<gid_t>(-1);
  if (name.empty() || ParseId(name, id)) return id;
  std::vector<char> buffer(kAccountBufferBytes);
  group entry = {};
  group* found = nullptr;
  ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return absl::InvalidArgumentError(fmt::format("there is no group \"{}\" here", name));
  }
  return found->gr_gid;
}

bool IsAbstract(const Address& address) {
  return address.unix_path().empty() || address.unix_path()[0] == '\0';
}

absl::Status SetOwnerAndMode(const std::string& path, const ListenerDefinition& listener) {
  const absl::StatusOr<uid_t> user = FindUser(listener.unix_owner);
  if (!user.ok()) return user.status();
  const absl::StatusOr<gid_t> group = FindGroup(listener.unix_group);
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
