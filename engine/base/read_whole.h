#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/status/statusor.h"

namespace ringmaster {

// All of a file in memory (memfd_create(2)) that its writer has finished, whatever the descriptor's
// position. Errors: kFailedPrecondition above `bytes_max`, else what the kernel says. Throws
// std::bad_alloc.
inline absl::StatusOr<std::string> ReadWhole(int fd, off_t bytes_max) {
  struct stat file = {};
  if (::fstat(fd, &file) != 0) return absl::ErrnoToStatus(errno, "cannot read what was handed on");
  if (file.st_size > bytes_max)
    return absl::FailedPreconditionError("what was handed on is too long");
  std::string text(static_cast<size_t>(file.st_size), '\0');
  size_t got = 0;
  while (got < text.size()) {
    const ssize_t bytes =
        ::pread(fd, text.data() + got, text.size() - got, static_cast<off_t>(got));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return absl::ErrnoToStatus(errno, "cannot read what was handed on");
    if (bytes == 0) return absl::FailedPreconditionError("what was handed on was cut short");
    got += static_cast<size_t>(bytes);
  }
  return text;
}

}  // namespace ringmaster
