#pragma once

#include <string>

#include "absl/status/status.h"
#include "engine/base/line_writer.h"
#include "protocols/http/service/access_record.h"

namespace ringmaster {

// The access log of one worker: lines gathered and written in blocks by one write(2) each to a file
// opened with O_APPEND, so that the lines of all workers in one file never mix. A full disk loses
// lines and the server goes on; they are counted in log_lines_lost, and the server's log says how
// many once there is room again.
class AccessLogFile {
 public:
  // Empty path = stderr. JSON lines, or text in the manner of the common log format.
  AccessLogFile(std::string path, bool json) : path_(std::move(path)), json_(json) {}
  ~AccessLogFile() { Flush(); }

  // In the worker, before the first record. Errors: those of open(2), naming the file.
  absl::Status Open();
  void Write(const http::AccessRecord& record);
  // What is gathered leaves now.
  void Flush();

 private:
  void Append(const http::AccessRecord& record);

  // Gathered up to here, or for a second, whichever comes first.
  static constexpr size_t kBlockBytes = 16 * 1024;

  const std::string path_;
  const bool json_;
  LineWriter file_;
  std::string block_;
  size_t block_lines_ = 0;
  uint64_t lost_ = 0;  // not told of yet
};

}  // namespace ringmaster
