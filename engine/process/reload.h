#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/process/fleet.h"
#include "engine/process/generation.h"
#include "engine/process/listening_sockets.h"
#include "engine/process/planner.h"
#include "engine/stats/shared_block.h"

namespace ringmaster {

// A rolling reload as a transaction: a new generation of workers takes the places of the present
// one, or nothing changes.
//
//   kIdle ─ Begin ─▶ kValidating ─▶ kStarting ─▶ kRolling ─▶ kIdle (done)
//                        │              │            │
//                        └──── abandoned ◀───────────┴─▶ kUndoing ─▶ kIdle (abandoned)
//
//   validating  the new program reads and checks its configuration (planner.h); its listeners are
//               opened
//   starting    one new worker after the other, until each stands by: nothing serves there yet
//   rolling     place by place: the old worker gives its connections to the new one and accepts no
//               more, then the new one accepts. The old one stays
//   done        the old ones may leave when what they could not hand over has come to its end
//   undoing     a new worker died or hangs: each old one gets back what it had given, and serves
//               again. What the dead one had not begun to serve is there, too (handoff/reserve.h)
//
// A thread of its own is not needed: everything happens in calls from the master's loop.
class Reload {
 public:
  enum class Stage : uint8_t { kIdle, kValidating, kStarting, kRolling, kUndoing };

  // What the master has, and does. All outlive the reload.
  struct Server {
    Fleet& fleet;
    ListeningSockets& listening;
    SharedBlock& block;
    uint64_t descriptor_limit;
    // The generation in service; the reload puts the new one there.
    std::shared_ptr<const Generation>& current;
    // The new generation serves.
    std::function<void()> on_done;
    // It has ended, one way or the other, and is no longer running.
    std::function<void()> on_ended;
  };
  explicit Reload(Server server) : server_(std::move(server)) {}

  bool running() const { return stage_ != Stage::kIdle; }
  // The number of the latest attempt, and of the next one to be given out.
  uint32_t number() const { return number_; }
  void set_number(uint32_t number) { number_ = number; }

  // Begins an attempt. `why` is logged. Must not be running.
  void Begin(std::string_view why, TimePoint now);
  // The same for workers that were found without a master (orphans.h): a start makes `next`, and is
  // done or abandoned as a reload is, but counts as none. What was found is not started again.
  void Adopt(std::shared_ptr<Generation> next, const std::vector<WorkerSlot*>& found,
             TimePoint now);
  // A stop: nothing more is begun. Whoever runs is stopped with all others.
  void Cancel();

  // -- What the master's loop hears
  // False: it was none of the reload's.
  bool OnChildExit(pid_t pid, int wait_status, TimePoint now);
  void OnReady(WorkerSlot& slot, TimePoint now);
  void OnHandedOver(WorkerSlot& slot, uint64_t count, TimePoint now);
  // The one that took over is gone, or has given up.
  void OnHandoffBroken(WorkerSlot& slot, uint64_t count, TimePoint now);
  // `how` it ended. The slot is still there, without a process.
  void OnWorkerExit(WorkerSlot& slot, const std::string& how, TimePoint now);
  int planner_fd() const { return planner_.fd(); }
  void OnPlannerOutput() { planner_.Read(); }
  void OnTimer(TimePoint now);
  TimePoint deadline() const { return std::min(planner_.deadline(), deadline_); }

  // Why the latest attempt was abandoned.
  const std::string& reason() const { return reason_; }
  // What has happened in the latest attempt, a line each; what `reload --wait` shows.
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  void OnPlan(absl::StatusOr<Planner::Plan> plan, TimePoint now);
  absl::Status Prepare(Planner::Plan plan);
  void StartNext(TimePoint now);
  void RollNext(TimePoint now);
  bool HandOver(WorkerSlot& from, WorkerSlot& to, TimePoint now);
  void PassPlace();
  void EndHandOver();
  void StartOldAgain();
  void Finish();
  // The attempt is over: counted, and shown by `status`.
  void Record(std::atomic<uint64_t>& counter, std::string_view result);
  void Abandon(std::string reason, TimePoint now);
  void UndoNext(TimePoint now);
  void EndAbandoned();
  void SetStage(Stage stage);
  void Note(std::string line);

  struct Place {
    WorkerSlot* old = nullptr;   // that served there; nullptr: it is a new place, or it died
    WorkerSlot* next = nullptr;  // that shall; nullptr: nobody will, or it died
  };
  Place* FindPlace(const WorkerSlot& slot);
  WorkerSlot& HeirOf(uint32_t place) { return *places_[place % next_->worker_count].next; }

  Server server_;
  Stage stage_ = Stage::kIdle;
  uint32_t number_ = 1;
  bool adopting_ = false;
  Planner planner_;
  WorkerProgram program_;  // until there is a generation for it
  std::shared_ptr<Generation> next_;
  std::vector<Place> places_;
  uint32_t at_ = 0;               // the place that is being started, rolled or undone
  WorkerSlot* giving_ = nullptr;  // who was told to hand over
  TimePoint began_handing_at_ = 0;
  TimePoint deadline_ = kNever;  // of the hand-over
  bool broken_ = false;          // the hand-over: its end is awaited, or an exit
  uint64_t given_ = 0;           // before it broke
  std::string reason_;
  std::vector<std::string> lines_;
};

}  // namespace ringmaster
