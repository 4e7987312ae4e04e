#pragma once

#include <string>

#include "absl/status/status.h"
#include "engine/base/unique_fd.h"
#include "protocols/http/service/access_record.h"

namespace ringmaster {

// The access log of one worker: lines gathered and written in blocks by one write(2) each to a file
// opened with O_APPEND, so that the lines of all workers in one file never mix.
class AccessLogFile {
 public:
  // Empty path = stderr. JSON lines, or text in the manner of the common log format.
  AccessLogFile(std::string path, bool json) : path_(std::move(path)), json_(json) {}
  ~AccessLogFile() { Flush(); }

  // In the worker, before the first record. Errors: those of open(2), naming the file.
  absl::Status Open();
  void Write(const http::AccessRecord& record);
  // What is gathered leaves now; a full disk loses it and the server goes on.
  void Flush();

 private:
  // Gathered up to here, or for a second, whichever comes first.
  static constexpr size_t kBlockBytes = 16 * 1024;

  const std::string path_;
  const bool json_;
  UniqueFd file_;
  std::string block_;
};

}  // namespace ringmaster
