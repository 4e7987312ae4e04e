#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "engine/base/time.h"
#include "engine/base/unique_fd.h"
#include "engine/process/control_message.h"
#include "engine/process/generation.h"
#include "engine/process/worker_restart_backoff.h"
#include "engine/process/worker_watch.h"
#include "engine/stats/shared_block.h"

namespace ringmaster {

class StateReader;
class StateWriter;

// One worker of a generation at its place, or the admin process: who works there now, or the wait
// for the next.
//
//     kEmpty -> kStarting -> kReady -> kStopping -> kStopped
//     kStarting or kReady, the process died -> kRestarting (back-off) -> kStarting
//     kReady, the process does not move     -> killed, and restarted as if it had died
//
// During a reload: kStarting -> kStandby -> kReady, and kReady -> kDraining -> kStopped. Who stands
// by or drains and dies is not restarted.
class WorkerSlot {
 public:
  // `role` without its control descriptors; `shared` and `next_prefix` (Fleet) outlive the slot. A
  // worker that is not ready by the generation's ready_timeout hangs: it is killed and counts as
  // dead.
  WorkerSlot(WorkerInheritance role, std::shared_ptr<const Generation> generation, uint32_t place,
             SharedSlot& shared, std::string title, uint16_t& next_prefix);

  // One whose master is gone and that has been adopted (orphans.h), until it has given what it has
  // to others. Not a child of this process: `process` tells of its end. Never started again.
  struct Adopted {
    pid_t pid;
    UniqueFd process;
    UniqueFd control;
    UniqueFd inbox;
    uint32_t generation;
  };
  WorkerSlot(Adopted adopted, WorkerInheritance role, std::shared_ptr<const Generation> generation,
             uint32_t place, SharedSlot& shared, std::string title, uint16_t& next_prefix);
  // One that works already, from before another program took the master's place.
  WorkerSlot(StateReader& in, std::shared_ptr<const Generation> generation, SharedSlot& shared,
             std::string title, uint16_t& next_prefix);
  // For that program: `kept` are descriptors that it needs. The generation and the index stand in
  // front of it.
  void Save(StateWriter& out, std::vector<int>& kept) const;

  absl::Status Start(TimePoint now);
  // The next thing that the worker has said; nullopt: nothing more for now. kReady is given once.
  std::optional<ControlPacket> ReadControl();
  // False: it has no process, or does not read.
  bool Send(const ControlPacket& packet) const;
  // The same, with a descriptor for its inbox.
  bool SendWithDescriptor(ControlMessage message, int fd) const;
  // It stands by and shall serve now; or it had handed its place over, and gets it back.
  void Serve();
  // It had begun to hand its place over, and has it again; TakeBack or Serve follows.
  void Resume();
  // As Serve, where the worker that had its place is dead.
  void TakeBack();
  // Another has its place now. It keeps what it could not hand over.
  void BeginDraining();
  // Nobody will need it again: it leaves when its connections have come to their end, or is killed
  // some time after its drain_timeout.
  void LeaveWhenDrained(TimePoint now);
  // It stood by in vain, and leaves at once.
  void Discard(TimePoint now);
  // The worker does not move any more. It is killed, and its successor starts at once, or after a
  // back-off when this one had hardly served either.
  void ReplaceStuck(std::string_view why, TimePoint now);
  // The process has been reaped. `stopping`: no successor is wanted.
  void OnExit(int wait_status, TimePoint now, bool stopping);
  // Tells the worker to leave; a slot without a process is stopped at once.
  void Tell(ControlMessage message);
  // `why` is told with its end.
  void Kill(std::string_view why = {});
  // No process works here any more, and none will: the shared slot may be used by another.
  void Retire();
  // Runs what is due at `now`: a restart, or the end of the patience with a worker that hangs.
  void OnTimer(TimePoint now);
  TimePoint deadline() const { return std::min(deadline_, watch_.deadline()); }

  uint32_t index() const { return role_.index; }
  uint32_t place() const { return place_; }
  const Generation& generation() const { return *generation_; }
  const std::shared_ptr<const Generation>& shared_generation() const { return generation_; }
  uint64_t connections_open() const { return shared_.counters.connections_open.Get(); }
  bool standby() const { return state() == SlotState::kStandby; }
  bool draining() const { return draining_; }
  // Among those that are to serve: not one of a reload that is under way, not one that drains.
  bool in_service() const { return !role_.standby && !draining_; }
  // "worker 3", "admin".
  std::string name() const;
  // How it ended, for people: why it was killed, if it was, else `wait_status` in words.
  std::string DescribeEnd(int wait_status) const;
  pid_t pid() const { return pid_; }
  bool running() const { return pid_ > 0; }
  bool adopted() const { return adopted_; }
  // Of one that was adopted: readable when it has ended. Else -1.
  int process_fd() const { return process_.get(); }
  bool ready() const { return state() == SlotState::kReady; }
  SlotState state() const { return shared_.state.load(); }
  int control_fd() const { return control_.get(); }

 private:
  const ServerOptions& options() const { return generation_->definition->options; }
  void Serve(ControlMessage how);
  void SetState(SlotState state) { shared_.state.store(state); }
  void Restart(Duration wait, TimePoint now);
  void LookForLife(TimePoint now);

  WorkerInheritance role_;
  std::shared_ptr<const Generation> generation_;
  uint32_t place_ = 0;
  SharedSlot& shared_;
  const std::string title_;
  uint16_t& next_prefix_;
  WorkerRestartBackoff backoff_;
  WorkerWatch watch_;
  pid_t pid_ = -1;
  UniqueFd control_;
  UniqueFd inbox_;
  bool adopted_ = false;
  UniqueFd process_;
  bool draining_ = false;
  std::string killed_because_;
  TimePoint started_at_ = 0;
  TimePoint deadline_ = kNever;
  // When the turn began in which the process that is being replaced got stuck; 0 = none is.
  TimePoint stuck_since_ = 0;
};

// "exited with status 1", "was killed by signal 9 (Killed)".
std::string DescribeWaitStatus(int wait_status);

}  // namespace ringmaster
