#include "engine/process/pid_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <utility>

namespace ringmaster {
namespace {

// An open-file-description lock rather than flock(2): F_OFD_GETLK asks who holds it without taking
// it, so that `status` can never make a `start` at the same moment believe that a server runs.
struct flock WholeFileLock() {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

pid_t ReadPid(int fd) {
  char text[32] = {};
  const ssize_t bytes = ::pread(fd, text, sizeof(text) - 1, 0);
  pid_t pid = 0;
  if (bytes > 0) std::from_chars(text, text + bytes, pid);
  return pid;
}

// False when the path was removed or replaced after we had opened it: our lock would guard a file
// that nobody else can see.
bool IsStillAt(int fd, const std::string& path) {
  struct stat ours = {};
  struct stat there = {};
  return ::fstat(fd, &ours) == 0 && ::stat(path.c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

}  // namespace

absl::StatusOr<PidFile> PidFile::Acquire(const std::string& path) {
  // A server that ends removes its file between our open and our lock; then open the next one.
  for (int attempt = 0; attempt < 16; ++attempt) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!fd.valid()) {
      return absl::ErrnoToStatus(errno, fmt::format("cannot open the pid file {}", path));
    }
    struct flock lock = WholeFileLock();
    if (::fcntl(fd.get(), F_OFD_SETLK, &lock) != 0) {
      if (errno != EAGAIN && errno != EACCES) {
        return absl::ErrnoToStatus(errno, fmt::format("cannot lock the pid file {}", path));
      }
      const pid_t holder = ReadPid(fd.get());
      return absl::AlreadyExistsError(
          holder > 0 ? fmt::format("already running with pid {} (pid file {})", holder, path)
                     : fmt::format("another start is under way (pid file {})", path));
    }
    if (!IsStillAt(fd.get(), path)) continue;
    const std::string text = fmt::format("{}\n", ::getpid());
    if (::ftruncate(fd.get(), 0) != 0 ||
        ::pwrite(fd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
      return absl::ErrnoToStatus(errno, fmt::format("cannot write the pid file {}", path));
    }
    return PidFile(path, std::move(fd));
  }
  return absl::UnavailableError(fmt::format("the pid file {} keeps being replaced", path));
}

PidFile::PidFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

PidFile::~PidFile() {
  if (fd_.valid() && IsStillAt(fd_.get(), path_)) ::unlink(path_.c_str());
}

absl::StatusOr<std::optional<pid_t>> FindPidFileHolder(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return absl::ErrnoToStatus(errno, fmt::format("cannot open the pid file {}", path));
  }
  struct flock lock = WholeFileLock();
  if (::fcntl(fd.get(), F_OFD_GETLK, &lock) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot ask for the lock of {}", path));
  }
  if (lock.l_type == F_UNLCK) return std::nullopt;
  return ReadPid(fd.get());
}

}  // namespace ringmaster
