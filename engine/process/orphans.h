#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/time.h"
#include "engine/base/unique_fd.h"
#include "engine/process/orphan_hello.h"
#include "engine/process/runtime_paths.h"

namespace ringmaster {

// How long whoever asks waits for workers that have no master and are busy.
inline constexpr Duration kOrphanPatience = std::chrono::seconds(10);

// A worker whose master is gone, seen by who has come through its door (orphan_hello.h). As long as
// it has no answer it goes back to its door when `connection` is closed.
struct OrphanedWorker {
  UniqueFd connection;
  UniqueFd process;  // a pidfd: readable when it has ended
  pid_t pid = -1;    // as the kernel says
  OrphanHello hello;
  std::vector<UniqueFd> sockets;  // of hello.listeners
};

// The door that a master's processes inherit. Two names are enough: while a new master adopts, the
// old door is still in use beside its own. A third is for a new master that is killed then.
class OrphanDoor {
 public:
  // The paths at which doors are looked for.
  static std::vector<std::string> Paths(const RuntimePaths& paths);

  // At the first of them behind which nobody is. The caller holds the pid file's lock, so a file
  // there with no process behind it is a dead server's. Errors: what bind(2) says; kUnavailable,
  // orphans are behind all of them.
  static absl::StatusOr<OrphanDoor> Open(const RuntimePaths& paths);
  // One that this process has opened, from before another program took its place.
  static OrphanDoor Resume(UniqueFd fd) { return {"", std::move(fd)}; }
  // From now on the file is this object's to remove.
  void set_path(std::string path) { path_ = std::move(path); }
  OrphanDoor() = default;
  OrphanDoor(OrphanDoor&&) = default;
  OrphanDoor& operator=(OrphanDoor&&) = default;
  // Removes the file.
  ~OrphanDoor();

  int fd() const { return fd_.get(); }
  bool valid() const { return fd_.valid(); }
  const std::string& path() const { return path_; }
  // The file stays: orphans have the door now.
  void Leave() { path_.clear(); }

 private:
  OrphanDoor(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
};

// The next worker behind the door at `path`; nullopt: no process is behind it any more. Waits until
// one has time to answer: a process that still stops may hold the door, too. The workers found
// before have their answer, or else wait for it and do not come again.
//
// Errors: kDeadlineExceeded, kFailedPrecondition (a worker of another release).
absl::StatusOr<std::optional<OrphanedWorker>> CallOrphan(const std::string& path,
                                                         TimePoint deadline);

}  // namespace ringmaster
