#pragma once

#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace ringmaster {

// The whole of `text` to a blocking descriptor, through short writes and signals (write(2)). False:
// it failed, and errno says why; a part may have been written.
//
//   if (!WriteAll(STDOUT_FILENO, table)) return 1;
inline bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t bytes = ::write(fd, text.data(), text.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return false;
    text.remove_prefix(static_cast<size_t>(bytes));
  }
  return true;
}

}  // namespace ringmaster
