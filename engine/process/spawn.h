#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/process/worker_inheritance.h"

namespace ringmaster {

// The program that workers run: an executable, held open. A worker restarted after somebody has
// replaced the file still runs what its generation runs.
class WorkerProgram {
 public:
  // This process's own executable. `arguments` are the worker's command line without argv[0].
  static absl::StatusOr<WorkerProgram> OfThisProcess(std::vector<std::string> arguments);
  // What stands at `path` now.
  static absl::StatusOr<WorkerProgram> At(std::string path, std::vector<std::string> arguments);

  // One that this process has opened already, from before another program took its place.
  static WorkerProgram Resume(UniqueFd executable, std::string path,
                              std::vector<std::string> arguments);

  // Forks and executes; the child inherits role.Descriptors() and the standard streams, nothing
  // else, and shows `title` as its argv[0]. A child that cannot execute exits with status 127 and
  // says why on stderr.
  absl::StatusOr<pid_t> Spawn(const WorkerInheritance& role, const std::string& title) const;
  // The same for any child: `variable` ("NAME=value") in its environment says what it is.
  struct Child {
    std::string title;
    std::string variable;
    std::vector<int> descriptors;
    bool knows_admin_token = false;
    int stderr_fd = -1;      // -1 = ours
    bool makes_way = false;  // start_priority.h
  };
  absl::StatusOr<pid_t> Spawn(const Child& child) const;

  const std::string& path() const { return path_; }
  const std::vector<std::string>& arguments() const { return arguments_; }
  int fd() const { return executable_.get(); }

 private:
  UniqueFd executable_;
  std::string path_;
  std::vector<std::string> arguments_;
};

}  // namespace ringmaster
