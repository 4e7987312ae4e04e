#pragma once

#include <sys/types.h>

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/process/connection_inquiry.h"
#include "engine/process/generation.h"
#include "engine/process/listening_sockets.h"
#include "engine/process/worker_slot.h"
#include "engine/stats/shared_block.h"

namespace ringmaster {

// All workers there are: those that serve, one at each place, and during a reload those that stand
// by for their places and those that drain. Each has a slot of the shared block, which is used
// again when it is gone.
class Fleet {
 public:
  // Both outlive the fleet. `door_fd`: inherited by workers (orphan_hello.h); -1: there is none.
  Fleet(SharedBlock& block, ConnectionInquiry& inquiry, int door_fd)
      : block_(block), inquiry_(inquiry), door_fd_(door_fd) {}

  // A worker of `generation` at `place`. A standby accepts nothing before it is told to serve.
  // Errors: kResourceExhausted when there is no free slot; what Spawn says.
  absl::StatusOr<WorkerSlot*> Start(std::shared_ptr<const Generation> generation, uint32_t place,
                                    const ListeningSockets& listening, bool standby);
  // One whose master is gone, and which has been told that it is ours (orphans.h). `generation`:
  // what this master knows of its like. `report`: its memfd for connection reports.
  absl::StatusOr<WorkerSlot*> Adopt(std::shared_ptr<const Generation> generation, uint32_t place,
                                    WorkerSlot::Adopted adopted, UniqueFd report);
  // The one that serves at `place`, running or about to be started again; nullptr: none does.
  WorkerSlot* InService(uint32_t place);
  // nullptr: it is none of ours.
  WorkerSlot* FindByPid(pid_t pid);
  WorkerSlot* FindByIndex(uint32_t index);
  // It is gone for good. No reference to it may be kept.
  void Forget(WorkerSlot& slot);

  // All that were adopted.
  void ForgetAdopted();

  // For the program that takes this one's place. `generations`: by number, each that is named.
  void Save(StateWriter& out, std::vector<int>& kept) const;
  absl::Status Resume(StateReader& in,
                      const std::map<uint32_t, std::shared_ptr<const Generation>>& generations);

  std::list<WorkerSlot>& slots() { return slots_; }
  const std::list<WorkerSlot>& slots() const { return slots_; }
  bool AnyRunning() const;
  // Every process of a worker gets another number in front of its connections' ids.
  uint16_t& next_prefix() { return next_prefix_; }

 private:
  absl::StatusOr<uint32_t> FreeIndex(uint32_t place);

  SharedBlock& block_;
  ConnectionInquiry& inquiry_;
  const int door_fd_;
  std::list<WorkerSlot> slots_;
  uint16_t next_prefix_ = 0;
};

}  // namespace ringmaster
