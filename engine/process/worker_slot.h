#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "engine/base/time.h"
#include "engine/base/unique_fd.h"
#include "engine/process/control_message.h"
#include "engine/process/spawn.h"
#include "engine/process/worker_restart_backoff.h"
#include "engine/stats/shared_block.h"

namespace ringmaster {

class SharedLimits;

// One place for a worker: the process that works there now, or the wait for the next one.
//
//     kEmpty -> kStarting -> kReady -> kStopping -> kStopped
//     kStarting or kReady, the process died -> kRestarting (back-off) -> kStarting
class WorkerSlot {
 public:
  // A worker that is not ready by then hangs: it is killed and counts as dead.
  static constexpr Duration kReadyTimeout = std::chrono::seconds(60);

  // `role` without its control descriptor; `shared` and `limits` outlive the slot. `limits`: what
  // the worker shares with others and a death must give back; may be nullptr.
  WorkerSlot(WorkerInheritance role, SharedSlot& shared, std::string title,
             SharedLimits* limits = nullptr);

  absl::Status Start(const WorkerProgram& program, TimePoint now);
  // Reads what the worker says. True when it has just become ready.
  bool OnControlReadable();
  // The process has been reaped. `stopping`: no successor is wanted.
  void OnExit(int wait_status, TimePoint now, bool stopping);
  // Tells the worker to leave; a slot without a process is stopped at once.
  void Tell(ControlMessage message);
  void Kill();
  // Runs what is due at `now`: a restart, or the end of the patience with a worker that hangs.
  void OnTimer(const WorkerProgram& program, TimePoint now);
  TimePoint deadline() const { return deadline_; }

  uint32_t index() const { return role_.index; }
  pid_t pid() const { return pid_; }
  bool running() const { return pid_ > 0; }
  bool ready() const { return state() == SlotState::kReady; }
  SlotState state() const { return shared_.state.load(); }
  int control_fd() const { return control_.get(); }

 private:
  void SetState(SlotState state) { shared_.state.store(state); }
  void Restart(TimePoint now);

  WorkerInheritance role_;
  SharedSlot& shared_;
  SharedLimits* const limits_;
  const std::string title_;
  WorkerRestartBackoff backoff_;
  pid_t pid_ = -1;
  UniqueFd control_;
  TimePoint started_at_ = 0;
  TimePoint deadline_ = kNever;
};

// "exited with status 1", "was killed by signal 9 (Killed)".
std::string DescribeWaitStatus(int wait_status);

}  // namespace ringmaster
