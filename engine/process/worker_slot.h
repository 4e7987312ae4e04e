#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "engine/base/time.h"
#include "engine/base/unique_fd.h"
#include "engine/process/control_message.h"
#include "engine/process/spawn.h"
#include "engine/process/worker_restart_backoff.h"
#include "engine/process/worker_watch.h"
#include "engine/stats/shared_block.h"

namespace ringmaster {

class SharedLimits;

// One place for a worker, or for the admin process: who works there now, or the wait for the next.
//
//     kEmpty -> kStarting -> kReady -> kStopping -> kStopped
//     kStarting or kReady, the process died -> kRestarting (back-off) -> kStarting
//     kReady, the process does not move     -> killed, and restarted as if it had died
class WorkerSlot {
 public:
  // A worker that is not ready by then hangs: it is killed and counts as dead.
  static constexpr Duration kReadyTimeout = std::chrono::seconds(60);

  // `role` without its control descriptor; `shared` and `limits` outlive the slot.
  // `silence_max`: a ready worker that shows no sign of life for so long is replaced; 0 = off.
  // `limits`: what the worker shares with others and a death must give back; may be nullptr.
  WorkerSlot(WorkerInheritance role, SharedSlot& shared, std::string title,
             Duration silence_max = Duration::zero(), SharedLimits* limits = nullptr);

  absl::Status Start(const WorkerProgram& program, TimePoint now);
  // The next thing that the worker has said; nullopt: nothing more for now. kReady is given once.
  std::optional<ControlPacket> ReadControl();
  // False: it has no process, or does not read.
  bool Send(const ControlPacket& packet) const;
  // The worker does not move any more. It is killed, and its successor starts at once, or after a
  // back-off when this one had hardly served either.
  void ReplaceStuck(std::string_view why, TimePoint now);
  // The process has been reaped. `stopping`: no successor is wanted.
  void OnExit(int wait_status, TimePoint now, bool stopping);
  // Tells the worker to leave; a slot without a process is stopped at once.
  void Tell(ControlMessage message);
  void Kill();
  // Runs what is due at `now`: a restart, or the end of the patience with a worker that hangs.
  void OnTimer(const WorkerProgram& program, TimePoint now);
  TimePoint deadline() const { return std::min(deadline_, watch_.deadline()); }

  uint32_t index() const { return role_.index; }
  // "worker 3", "admin".
  std::string name() const;
  pid_t pid() const { return pid_; }
  bool running() const { return pid_ > 0; }
  bool ready() const { return state() == SlotState::kReady; }
  SlotState state() const { return shared_.state.load(); }
  int control_fd() const { return control_.get(); }

 private:
  void SetState(SlotState state) { shared_.state.store(state); }
  void Restart(Duration wait, TimePoint now);
  void LookForLife(TimePoint now);

  WorkerInheritance role_;
  SharedSlot& shared_;
  SharedLimits* const limits_;
  const std::string title_;
  WorkerRestartBackoff backoff_;
  WorkerWatch watch_;
  pid_t pid_ = -1;
  UniqueFd control_;
  TimePoint started_at_ = 0;
  TimePoint deadline_ = kNever;
  // When the turn began in which the process that is being replaced got stuck; 0 = none is.
  TimePoint stuck_since_ = 0;
};

// "exited with status 1", "was killed by signal 9 (Killed)".
std::string DescribeWaitStatus(int wait_status);

}  // namespace ringmaster
