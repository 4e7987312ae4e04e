#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"

namespace ringmaster {

// The pid file says who runs; its lock says whether anybody does. The kernel drops the lock with
// the process, however it ends, so a file left behind never blocks the next start and its number
// never names a stranger.
class PidFile {
 public:
  // Locks `path` and writes this process's pid. Errors: kAlreadyExists, naming the pid that holds
  // it.
  static absl::StatusOr<PidFile> Acquire(const std::string& path);

  // One that this process holds already, from before another program took its place.
  static PidFile Resume(std::string path, UniqueFd fd) { return {std::move(path), std::move(fd)}; }
  int fd() const { return fd_.get(); }

  PidFile() = default;
  PidFile(PidFile&&) = default;
  PidFile& operator=(PidFile&&) = default;
  // Removes the file, then lets the lock go.
  ~PidFile();

 private:
  PidFile(std::string path, UniqueFd fd);

  std::string path_;
  UniqueFd fd_;
};

// The process that holds the lock of `path`; nullopt when none does. 0 when it has not written its
// pid yet.
absl::StatusOr<std::optional<pid_t>> FindPidFileHolder(const std::string& path);

}  // namespace ringmaster
