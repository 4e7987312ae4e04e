#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/time.h"
#include "engine/base/unique_fd.h"
#include "engine/stats/counters.h"
#include "engine/stats/loop_pulse.h"

namespace ringmaster {

// Where a worker slot is in its life. Written by the master.
enum class SlotState : uint32_t {
  kEmpty,       // never started
  kStarting,    // its process runs and is not ready yet
  kStandby,     // ready to take the place of another
  kReady,       // serving
  kDraining,    // another has its place; what it could not hand over comes to its end here
  kStopping,    // asked to leave
  kRestarting,  // its process died; the next one waits for its back-off
  kStopped,
};
std::string_view SlotStateName(SlotState state);

// What the master says of reloads.
struct SharedReload {
  std::atomic<uint64_t> done{0};
  std::atomic<uint64_t> abandoned{0};
  std::atomic<uint64_t> upgrades{0};
  // Of the latest, and why it was abandoned. Ends with zeros, whenever it is read.
  std::atomic<uint32_t> generation{0};
  char state[16] = {};   // "idle", "validating", "starting", "rolling", "undoing"
  char result[16] = {};  // "", "done", "abandoned"
  char reason[512] = {};
};

// One worker slot: who works in it, written by the master, and what that worker counts, written by
// the worker. Counters survive a restart, so totals never go back; the master sets the gauges to 0
// when a worker has died.
struct alignas(64) SharedSlot {
  std::atomic<int32_t> pid{0};  // 0 = none now
  std::atomic<uint32_t> generation{0};
  std::atomic<bool> retired{false};  // nobody works here until the slot is used again
  std::atomic<uint32_t> place{0};    // which of the server's workers it is, from 0
  std::atomic<SlotState> state{SlotState::kEmpty};
  std::atomic<int64_t> started_at{0};  // TimePoint
  std::atomic<uint64_t> restarts{0};
  std::atomic<int32_t> last_wait_status{0};  // of wait(2), of the latest process that ended
  std::atomic<int32_t> cpu{-1};
  // Times the master replaced a worker that had stopped moving; among the restarts.
  std::atomic<uint64_t> stuck_replaced{0};
  alignas(64) LoopPulse pulse;
  // A line of its own: the master's stores above never touch what the worker counts in.
  alignas(64) WorkerCounters counters;
};

// The server as a whole, written by the master.
struct SharedHeader {
  static constexpr uint32_t kMagic = 0x524d5354;  // "RMST"
  // Raise it with every change of the layout: master and worker may be of different releases.
  static constexpr uint32_t kLayout = 7;
  static constexpr size_t kListenersMax = 64;
  static constexpr size_t kListenerBytes = 128;

  uint32_t magic = kMagic;
  uint32_t layout = kLayout;
  uint64_t bytes = 0;
  uint32_t slot_capacity = 0;
  std::atomic<uint32_t> slot_count{0};  // of the workers, those that were ever used
  uint32_t admin_count = 0;             // 1: the admin process has a slot behind theirs
  uint32_t slot_bytes = sizeof(SharedSlot);
  std::atomic<uint32_t> worker_count{0};  // how many shall serve
  std::atomic<uint32_t> generation{1};    // that serves
  SharedReload reload;
  std::atomic<int32_t> master_pid{0};
  std::atomic<int64_t> started_at{0};       // TimePoint
  std::atomic<int64_t> handler_timeout{0};  // nanoseconds; 0 = off
  uint32_t listener_count = 0;
  char name[64] = {};
  char version[64] = {};
  char listeners[kListenersMax][kListenerBytes] = {};
  char admin_listener[kListenerBytes] = {};  // empty: there is none
};

// The shared memory of master and workers: a header and one slot per worker, in a memfd that every
// worker inherits. Anybody may read any slot at any time, so `status` answers while a worker is
// busy. The admin process counts in a slot of its own, which slot_count leaves out: whoever sums
// sums the workers.
//
//     | SharedHeader | SharedSlot 0 | SharedSlot 1 | ... | admin's SharedSlot, if it has one |
//
// During a reload old and new workers count side by side, each in a slot of its own; a slot whose
// process is gone is used again, and counts on. There is room for `slot_capacity`; pages appear
// when they are touched.
class SharedBlock {
 public:
  static absl::StatusOr<std::unique_ptr<SharedBlock>> Create(uint32_t slot_count,
                                                             bool with_admin = false,
                                                             uint32_t slot_capacity = 0);
  // Takes the descriptor a worker inherited. Errors: kFailedPrecondition for another release's
  // layout.
  static absl::StatusOr<std::unique_ptr<SharedBlock>> Map(UniqueFd fd);
  ~SharedBlock();
  SharedBlock(const SharedBlock&) = delete;
  SharedBlock& operator=(const SharedBlock&) = delete;

  // Equal in programs whose counters have the same names, places and meanings: only those can
  // share a block.
  static uint64_t Fingerprint();

  int fd() const { return fd_.get(); }
  SharedHeader& header() { return *header_; }
  const SharedHeader& header() const { return *header_; }
  SharedSlot& slot(uint32_t index);
  const SharedSlot& slot(uint32_t index) const;
  uint32_t slot_count() const { return header_->slot_count.load(); }
  uint32_t slot_capacity() const { return header_->slot_capacity; }
  // The master: one more slot; false when there is no room.
  bool AddSlot();
  // For how long a worker that serves has been held by a handler; 0 unless that is longer than
  // handler_timeout.
  Duration StuckFor(uint32_t index, TimePoint now) const;
  // nullptr: the server has no admin process.
  SharedSlot* admin_slot();
  const SharedSlot* admin_slot() const;

  // The master: how the present reload goes, and, with a result, how it ended and why.
  void DescribeReload(std::string_view state);
  void DescribeReload(std::string_view state, std::string_view result, std::string_view reason);

  // `admin_listener`: where the admin process listens; empty without one.
  void Describe(std::string_view name, std::string_view version,
                const std::vector<std::string>& listeners, std::string_view admin_listener = {});

 private:
  SharedBlock(UniqueFd fd, void* memory, size_t bytes);

  UniqueFd fd_;
  SharedHeader* header_;
  SharedSlot* slots_;
  size_t bytes_;
};

}  // namespace ringmaster
