#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/time.h"
#include "engine/base/unique_fd.h"
#include "engine/process/spawn.h"
#include "engine/server.h"

namespace ringmaster {

// The first step of a reload: the program that stands in the file system now reads its
// configuration, checks it and tells the master what it wants (definition_plan.h). It may be of
// another release, so it does that in a process of its own; what it prints is the reason when it
// refuses.
//
//     planner.Begin(program, now, timeout) ... fd() readable: Read ... pid() reaped: Finish
class Planner {
 public:
  struct Plan {
    std::unique_ptr<ServerDefinition> definition;
    std::string version;
    std::optional<std::string> configuration;  // the text of the file, if the program reads one
  };
  // Set for the planning process; its value is of the form "layout=1 fd=7 state=-1
  // configuration=-1".
  static constexpr char kVariable[] = "RINGMASTER_PLAN";

  absl::Status Begin(const WorkerProgram& program, TimePoint now, Duration timeout) {
    return Begin(program, /*state_fd=*/-1, /*configuration_fd=*/-1, now, timeout);
  }
  // The same for a program that shall take the master's own place: it must understand the master's
  // state, and the configuration that is in force instead of the file's.
  absl::Status Begin(const WorkerProgram& program, int state_fd, int configuration_fd,
                     TimePoint now, Duration timeout);
  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  // What it prints; -1: nothing more comes.
  int fd() const { return output_.get(); }
  void Read();
  TimePoint deadline() const { return deadline_; }
  // It has had its time.
  void OnTimer();
  // Nobody wants its answer any more. It is still to be reaped.
  void Abandon();
  // It was reaped. Errors: kFailedPrecondition, with the reason in its own words.
  absl::StatusOr<Plan> Finish(int wait_status);

 private:
  pid_t pid_ = -1;
  UniqueFd output_;
  UniqueFd plan_;
  std::string text_;
  Duration timeout_ = Duration::zero();
  TimePoint deadline_ = kNever;
  bool timed_out_ = false;
};

// What a planning process was given.
struct PlannerInheritance {
  int plan_fd = -1;           // to which it shall write its plan
  int state_fd = -1;          // Planner::Begin
  int configuration_fd = -1;  // Planner::Begin
};
// nullptr when this process is no planner. The first call takes the variable out of the
// environment. Errors: kInvalidArgument, a variable that no master wrote.
absl::StatusOr<const PlannerInheritance*> PlannerRole();
// The planning process: writes what `server` is. Errors: it cannot be written.
absl::Status WritePlanTo(int fd, const ServerDefinition& server, std::string_view version);

}  // namespace ringmaster
