#pragma once

#include <cstddef>
#include <string_view>

#include "engine/base/unique_fd.h"

namespace ringmaster {

// Writes whole lines, each call by one write(2), to a file opened with O_APPEND that several
// processes may share. A line is written whole or not at all: when the disk is full (or the file at
// its limit) in the middle of one, what was written of it is taken away again, or at least ended,
// so that it never runs into the next line. Writing goes on by itself as soon as there is room.
//
//   LineWriter writer(std::move(fd));
//   if (writer.Write("one\ntwo\n") < 2) ...   // writer.error() says why
//
// SIGXFSZ must be ignored: at RLIMIT_FSIZE it would end the process (process/signals.cc).
class LineWriter {
 public:
  // No descriptor: stderr.
  explicit LineWriter(UniqueFd file = {}) : file_(std::move(file)) {}

  // `lines` ends with '\n'. Returns how many of them were written; the rest is lost.
  size_t Write(std::string_view lines);
  // errno of the last line that was lost.
  int error() const { return error_; }

 private:
  void TakeAway(size_t bytes);

  UniqueFd file_;
  int error_ = 0;
  // Part of a line stands at the end and could not be taken away.
  bool fragment_ = false;
};

}  // namespace ringmaster
