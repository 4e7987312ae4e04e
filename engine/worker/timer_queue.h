#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "engine/base/time.h"

namespace ringmaster {

using TimerId = uint64_t;

// The timers of one worker: a heap of deadlines, driven by the turn's wait. User timers, accept
// back-off, stop deadlines. Deadlines of connections are not here: the kernel keeps them
// (connection/deadlines.cc).
//
// Cancelling erases the callback at once, so what it captured is released. The heap entry goes when
// its deadline comes, or with others once they are the majority: memory follows the number of
// timers, not how many were cancelled within the longest of their delays.
class TimerQueue {
 public:
  TimerId Add(TimePoint deadline, Duration period, absl::AnyInvocable<void()> callback);
  bool Cancel(TimerId id);

  // The next deadline, or kNever. May be that of a cancelled timer: one early wake-up, no harm.
  TimePoint NextDeadline() const { return heap_.empty() ? kNever : heap_.front().deadline; }

  // Runs what is due at `now`, at most once each. A callback may add and cancel timers, its own
  // included. Returns how many ran.
  uint32_t Run(TimePoint now);

  size_t size() const { return timers_.size(); }
  // Cancelled ones that still wait for their deadline included.
  size_t entry_count() const { return heap_.size(); }

 private:
  struct Entry {
    TimePoint deadline;
    TimerId id;
    bool operator>(const Entry& other) const {
      return deadline != other.deadline ? deadline > other.deadline : id > other.id;
    }
  };
  struct Timer {
    Duration period;
    absl::AnyInvocable<void()> callback;
  };

  void Push(Entry entry);
  Entry Pop();
  void DropCancelled();

  std::vector<Entry> heap_;  // the next deadline in front
  absl::flat_hash_map<TimerId, Timer> timers_;
  TimerId next_id_ = 1;
};

}  // namespace ringmaster
