#include "engine/process/runtime_paths.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace ringmaster {
namespace {

std::string DefaultDirectory() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && runtime[0] == '/') return fmt::format("{}/ringmaster", runtime);
  if (::geteuid() == 0) return "/run/ringmaster";
  return fmt::format("/tmp/ringmaster-{}", ::geteuid());
}

// `path` with `replacement` instead of `suffix`, or behind it all.
std::string Beside(std::string_view path, std::string_view suffix, std::string_view replacement) {
  if (path.size() > suffix.size() && path.ends_with(suffix)) path.remove_suffix(suffix.size());
  return fmt::format("{}{}", path, replacement);
}

}  // namespace

absl::StatusOr<RuntimePaths> FindRuntimePaths(const ServerOptions& options) {
  RuntimePaths paths;
  paths.pid_file = options.pid_file;
  paths.control_socket = options.control_socket;
  if (paths.pid_file.empty()) {
    if (options.name.empty() || options.name[0] == '.' ||
        options.name.find('/') != std::string::npos) {
      return absl::InvalidArgumentError(fmt::format(
          "the server's name \"{}\" cannot name a file: it needs a letter first and no \"/\"",
          options.name));
    }
    paths.directory = DefaultDirectory();
    paths.pid_file = fmt::format("{}/{}.pid", paths.directory, options.name);
  }
  if (paths.control_socket.empty()) paths.control_socket = Beside(paths.pid_file, ".pid", ".sock");
  if (paths.control_socket.size() >= sizeof(sockaddr_un::sun_path)) {
    return absl::InvalidArgumentError(fmt::format(
        "the control socket's path {} has {} bytes; a socket's path may have {}",
        paths.control_socket, paths.control_socket.size(), sizeof(sockaddr_un::sun_path) - 1));
  }
  paths.admin_socket = Beside(paths.control_socket, ".sock", ".admin.sock");
  paths.orphan_door = Beside(paths.control_socket, ".sock", ".orphans");
  return paths;
}

absl::Status PrepareRuntimeDirectory(const RuntimePaths& paths) {
  if (paths.directory.empty()) return absl::OkStatus();
  if (::mkdir(paths.directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot make {}", paths.directory));
  }
  struct stat directory = {};
  if (::lstat(paths.directory.c_str(), &directory) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot look at {}", paths.directory));
  }
  if (!S_ISDIR(directory.st_mode) || directory.st_uid != ::geteuid() ||
      (directory.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return absl::PermissionDeniedError(
        fmt::format("{} is not a directory that only this user may write to; remove it or set "
                    "pid_file",
                    paths.directory));
  }
  return absl::OkStatus();
}

}  // namespace ringmaster
