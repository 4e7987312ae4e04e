#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "engine/base/time.h"

namespace ringmaster {

using TimerId = uint64_t;

// The timers of one worker: a heap of deadlines, driven by the turn's wait. User timers, accept
// back-off, stop deadlines. Deadlines of connections are not here: the kernel keeps them
// (connection/deadlines.cc).
//
// Cancelling erases the callback at once, so what it captured is released; the heap entry goes when
// its deadline comes, or when half of the heap is of cancelled timers: a timer of hours for every
// short connection must not add up. Add throws std::bad_alloc and leaves everything as it was;
// nothing else here needs memory, so a timer that is in the queue is never lost.
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
  // Entries of the heap, those of cancelled timers included.
  size_t heap_size() const { return heap_.size(); }

 private:
  struct Entry {
    TimePoint deadline;
    TimerId id;
    // The heap's front is the greatest: the nearest deadline.
    bool operator>(const Entry& other) const {
      return deadline != other.deadline ? deadline > other.deadline : id > other.id;
    }
  };
  struct Timer {
    Duration period;
    absl::AnyInvocable<void()> callback;
  };

  // Fewer cancelled entries than this are not worth the walk.
  static constexpr size_t kCancelledKept = 64;

  void Push(Entry entry);
  Entry Pop();
  void DropCancelled();

  std::vector<Entry> heap_;  // the nearest deadline in front
  // Due, but added during this Run. Has room for whatever is added meanwhile.
  std::vector<Entry> set_aside_;
  bool running_ = false;
  // The standard's own: unlike Abseil's tables it survives a failing allocation.
  std::unordered_map<TimerId, Timer> timers_;
  TimerId next_id_ = 1;
};

}  // namespace ringmaster
