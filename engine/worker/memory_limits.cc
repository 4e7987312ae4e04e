#include <malloc.h>

#include <algorithm>
#include <new>
#include <vector>

#include "engine/worker/worker.h"

// The bytes that a worker holds for all its connections, and what it does when they are too many.
// What is held is known at any time: queues count their blocks as they are allocated and freed,
// remainders and sessions report changes, and a connection whose output leaves at once and whose
// input is consumed at once costs nothing here.
//
//   above soft   nothing more is received for the connections that hold the most, until the others
//                together hold no more than soft; they resume below 7/8 of it. What they have
//                received is still handled: that is how they come to hold less
//   above hard   no session is given input in this turn any more and no more than a small output is
//                queued, so that the sum exceeds the limit by one message at most; at the end of
//                the turn those that hold the most are closed, until 15/16 of it are left
//
// A connection that holds less than its share is neither paused nor closed. Half of all shares
// together are half of the limit: there is always somebody to close.

namespace ringmaster {
namespace {

// Who holds less is innocent, unless there are so many that they are the trouble.
constexpr size_t kShareMax = 16 * 1024;
// How often it is looked whether a deadline has passed of somebody who is paused.
constexpr Duration kWatchPeriod = std::chrono::milliseconds(100);
// Of those who are paused, how many may try at each look.
constexpr size_t kTryingPart = 16;
// The walk over all connections is worth repeating when the sum has grown by so much.
constexpr size_t kStepMin = 64 * 1024;

size_t StepOf(size_t soft) { return std::max(kStepMin, soft / 32); }

}  // namespace

void Worker::EnforceMemoryLimits() {
  const size_t held = buffered_bytes();
  next_walk_at_ = std::min(next_walk_at_, held + StepOf(memory_soft_));
  const bool quiet = paused_list_.empty() && held_back_list_.empty();
  if (quiet && held <= memory_soft_ && held <= memory_hard_) return;
  if (held > memory_hard_) AbortFattest(held - (memory_hard_ - memory_hard_ / 16));
  if (!over_memory_limit()) ReleaseHeldBack();
  const size_t left = buffered_bytes();
  if (left <= memory_soft_ - memory_soft_ / 8) {
    ResumePaused();
  } else if (left > memory_soft_ && left >= next_walk_at_) {
    PauseFattest(left - memory_soft_);
    next_walk_at_ = left + StepOf(memory_soft_);
  }
  WatchPaused();
}

// Input of this connection waits for the end of the turn: handling it would only add to what is too
// much already.
void Worker::HoldBack(Connection& connection) {
  if (connection.held_back_ || !connection.open()) return;
  if (ListOrAbort(held_back_list_, connection)) connection.held_back_ = true;
}

void Worker::ReleaseHeldBack() {
  for (const SlabPlace& ref : held_back_list_) {
    Connection* connection = slab_.Get(ref);
    if (connection == nullptr) continue;
    connection->held_back_ = false;
    if (connection->receiving()) ScheduleOffer(*connection);
  }
  held_back_list_.clear();
}

size_t Worker::ShareOf(size_t limit) const {
  return std::min(kShareMax, limit / 2 / std::max(1u, slab_.used_count()));
}

// Those for which `wanted` holds more than a share, the fattest at the front of a heap. Returns
// what they hold together.
template <typename Wanted>
void Worker::CollectFattest(size_t share, Wanted&& wanted) {
  fattest_.clear();
  slab_.ForEach([&](Connection& connection) {
    if (!wanted(connection)) return;
    const size_t bytes = connection.HeldBytes();
    if (bytes <= share) return;
    try {
      fattest_.push_back({bytes, {connection.slot_, connection.generation_}});
    } catch (const std::bad_alloc&) {
      // Those that found a place will do; the next turn looks again.
    }
  });
  std::make_heap(fattest_.begin(), fattest_.end(), &Fat::Less);
}

Worker::Fat Worker::TakeFattest() {
  std::pop_heap(fattest_.begin(), fattest_.end(), &Fat::Less);
  const Fat fat = fattest_.back();
  fattest_.pop_back();
  return fat;
}

void Worker::PauseFattest(size_t excess) {
  size_t paused = 0;
  CollectFattest(ShareOf(memory_soft_), [&](const Connection& connection) {
    if (connection.memory_paused_) paused += connection.HeldBytes();
    return connection.open() && !connection.memory_paused_;
  });
  while (paused < excess && !fattest_.empty()) {
    const Fat fat = TakeFattest();
    Connection& connection = *slab_.Get(fat.ref);
    if (ListOrAbort(paused_list_, connection)) connection.PauseForMemory();
    paused += fat.bytes;
  }
}

void Worker::ResumePaused() {
  for (const SlabPlace& ref : paused_list_) {
    if (Connection* connection = slab_.Get(ref)) {
      connection->ResumeFromMemory();
    }
  }
  paused_list_.clear();
}

void Worker::AbortFattest(size_t excess) {
  using State = Connection::State;
  CollectFattest(ShareOf(memory_hard_), [](const Connection& connection) {
    return connection.state_ != State::kConnecting && connection.state_ != State::kClosing &&
           connection.state_ != State::kFree;  // another worker's, so far
  });
  size_t freed = 0;
  while (freed < excess && !fattest_.empty()) {
    const Fat fat = TakeFattest();
    slab_.Get(fat.ref)->AbortForMemory();
    freed += fat.bytes;
  }
  // What is freed in pieces of every size would stay with the allocator: half as much again as is
  // held. The walk costs milliseconds.
  if (now_ - trimmed_at_ >= kWatchPeriod.count()) {
    trimmed_at_ = now_;
    malloc_trim(0);
  }
}

// No receive is armed for a connection that is paused, so no timeout runs, and a peer that has left
// is not noticed. The item of which it holds the beginning must come to its end all the same, or it
// would wait for ever for the memory that it keeps itself. And where all memory is held by who
// waits for it, nobody would ever go on: so a few at a time, the longest waiting first, may try.
// Who makes it too much is paused again, or closed above hard.
void Worker::WatchPaused() {
  const bool wanted = !paused_list_.empty() || !held_back_list_.empty();
  if (wanted == (watch_timer_ != 0)) return;
  if (!wanted) {
    CancelTimer(watch_timer_);
    watch_timer_ = 0;
    return;
  }
  watch_timer_ = AddTimer(kWatchPeriod, kWatchPeriod, [this] {
    std::erase_if(paused_list_, [this](const SlabPlace& ref) {
      Connection* connection = slab_.Get(ref);
      if (connection == nullptr) return true;
      if (connection->open() && connection->item_deadline_ <= now_) connection->AbortForMemory();
      return false;
    });
    const size_t some = std::min(paused_list_.size(), paused_list_.size() / kTryingPart + 1);
    for (size_t i = 0; i < some; ++i) {
      const SlabPlace ref = paused_list_[i];
      if (Connection* connection = slab_.Get(ref)) {
        connection->TryWithoutMemory();
      }
    }
    paused_list_.erase(paused_list_.begin(), paused_list_.begin() + static_cast<ptrdiff_t>(some));
  });
}

}  // namespace ringmaster
