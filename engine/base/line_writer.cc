#include "engine/base/line_writer.h"

#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace ringmaster {

size_t LineWriter::Write(std::string_view lines) {
  const int fd = file_.valid() ? file_.get() : STDERR_FILENO;
  const size_t begin = fragment_ ? 1 : 0;
  char line_feed = '\n';
  const iovec pieces[] = {{&line_feed, 1}, {const_cast<char*>(lines.data()), lines.size()}};
  ssize_t result;
  do {
    result = ::writev(fd, pieces + (1 - begin), static_cast<int>(1 + begin));
  } while (result < 0 && errno == EINTR);
  if (result < 0) error_ = errno;
  if (result <= 0) return 0;
  fragment_ = false;
  const std::string_view written = lines.substr(0, static_cast<size_t>(result) - begin);
  if (written.size() < lines.size()) {
    // write(2) says why only when it takes nothing at all.
    error_ = ENOSPC;
    const size_t last_line_feed = written.rfind('\n');
    TakeAway(written.size() - (last_line_feed == written.npos ? 0 : last_line_feed + 1));
  }
  return static_cast<size_t>(std::count(written.begin(), written.end(), '\n'));
}

// The last `bytes` that this process has written, unless another has written behind them meanwhile;
// on a full disk it could not.
void LineWriter::TakeAway(size_t bytes) {
  if (bytes == 0) return;
  struct stat status = {};
  const off_t end = file_.valid() ? ::lseek(file_.get(), 0, SEEK_CUR) : -1;
  fragment_ = end < static_cast<off_t>(bytes) || ::fstat(file_.get(), &status) != 0 ||
              status.st_size != end ||
              ::ftruncate(file_.get(), end - static_cast<off_t>(bytes)) != 0;
}

}  // namespace ringmaster
