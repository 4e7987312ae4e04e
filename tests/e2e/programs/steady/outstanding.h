#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

#include "tests/e2e/programs/steady/event_loop.h"

namespace steady {

// What was sent on one connection and has not come back, in the order of the sending. Sequence
// numbers ascend, not always by one.
class Outstanding {
 public:
  struct Entry {
    uint64_t sequence;
    // When its last byte was to be written; later than the schedule by the gaps put in on purpose.
    Nanoseconds scheduled_at;
    Nanoseconds written_at;
    bool overtaken;  // a later one has come back
    bool reported;   // counted as failed; kept, so that a late answer is known for what it is
  };

  enum class Outcome : uint8_t {
    kInOrder,
    kReordered,   // one sent later had come before it
    kLate,        // it had been reported
    kDuplicated,  // it had come before
    kNeverSent,
  };
  struct Taken {
    Outcome outcome;
    Nanoseconds scheduled_at;  // of kInOrder, kReordered and kLate
  };

  void Add(uint64_t sequence, Nanoseconds scheduled_at, Nanoseconds written_at) {
    entries_.push_back({sequence, scheduled_at, written_at, false, false});
    // What is sent again on another connection has a number that was seen.
    last_ = std::max(last_, sequence);
  }

  // That one has come back.
  Taken Take(uint64_t sequence) {
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->sequence != sequence) continue;
      const Taken taken = {entry->reported    ? Outcome::kLate
                           : entry->overtaken ? Outcome::kReordered
                                              : Outcome::kInOrder,
                           entry->scheduled_at};
      for (auto before = entries_.begin(); before != entry; ++before) before->overtaken = true;
      entries_.erase(entry);
      return taken;
    }
    return {sequence <= last_ && last_ != 0 ? Outcome::kDuplicated : Outcome::kNeverSent, 0};
  }

  std::deque<Entry>& entries() { return entries_; }
  bool empty() const { return entries_.empty(); }
  void Clear() { entries_.clear(); }
  // Nothing is waited for any more.
  bool settled() const {
    for (const Entry& entry : entries_) {
      if (!entry.reported) return false;
    }
    return true;
  }

 private:
  std::deque<Entry> entries_;
  uint64_t last_ = 0;
};

}  // namespace steady
