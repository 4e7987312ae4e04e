#include "engine/config/config_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "engine/config/json_value.h"

namespace ringmaster::config {
namespace {

absl::Status OpenError(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(fmt::format("{}: there is no such file", path));
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(
          fmt::format("{}: permission denied; the file must be readable for the user that starts "
                      "the server",
                      path));
    default:
      return absl::UnavailableError(fmt::format("{}: {}", path, std::strerror(error)));
  }
}

}  // namespace

absl::StatusOr<std::string> ReadConfigFile(const std::string& path) {
  // O_NONBLOCK: opening a FIFO would otherwise wait for its writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return OpenError(path, errno);
  const absl::Cleanup close_fd = [fd] { ::close(fd); };
  struct stat info = {};
  if (::fstat(fd, &info) != 0) return OpenError(path, errno);
  if (S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(fmt::format("{}: is a directory, not a file", path));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(fmt::format("{}: is not a regular file", path));
  }
  std::string text;
  char buffer[16 * 1024];
  for (;;) {
    const ssize_t bytes = ::read(fd, buffer, sizeof(buffer));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return OpenError(path, errno);
    if (bytes == 0) return text;
    text.append(buffer, static_cast<size_t>(bytes));
    if (text.size() > kJsonBytesMax) {
      return absl::InvalidArgumentError(fmt::format(
          "{}: is larger than {} bytes; a configuration is smaller", path, kJsonBytesMax));
    }
  }
}

}  // namespace ringmaster::config
