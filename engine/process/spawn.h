#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/process/worker_inheritance.h"

namespace ringmaster {

// The program that workers run: this process's own executable, held open since the start. A worker
// restarted after somebody has replaced the file still runs what its master runs.
class WorkerProgram {
 public:
  // `arguments` are the worker's command line without argv[0].
  static absl::StatusOr<WorkerProgram> OfThisProcess(std::vector<std::string> arguments);

  // Forks and executes; the child inherits role.Descriptors() and the standard streams, nothing
  // else, and shows `title` as its argv[0]. A child that cannot execute exits with status 127 and
  // says why on stderr.
  absl::StatusOr<pid_t> Spawn(const WorkerInheritance& role, const std::string& title) const;

  const std::string& path() const { return path_; }

 private:
  UniqueFd executable_;
  std::string path_;
  std::vector<std::string> arguments_;
};

}  // namespace ringmaster
