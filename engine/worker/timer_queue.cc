#include "engine/worker/timer_queue.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace ringmaster {
namespace {

template <typename T>
void EnsureCapacity(std::vector<T>& vector, size_t count) {
  if (vector.capacity() < count) vector.reserve(std::max(count, vector.capacity() * 2));
}

}  // namespace

TimerId TimerQueue::Add(TimePoint deadline, Duration period, absl::AnyInvocable<void()> callback) {
  // One for this timer, one for a repeated one that is running now and comes back.
  EnsureCapacity(heap_, heap_.size() + set_aside_.size() + 2);
  if (running_) EnsureCapacity(set_aside_, heap_.size() + set_aside_.size() + 1);
  const TimerId id = next_id_;
  timers_.emplace(id, Timer{period, std::move(callback)});
  ++next_id_;
  Push({deadline, id});
  return id;
}

bool TimerQueue::Cancel(TimerId id) {
  if (timers_.erase(id) == 0) return false;
  if (heap_.size() > 2 * timers_.size() + kCancelledKept) DropCancelled();
  return true;
}

void TimerQueue::Push(Entry entry) {
  heap_.push_back(entry);
  std::push_heap(heap_.begin(), heap_.end(), std::greater<Entry>());
}

TimerQueue::Entry TimerQueue::Pop() {
  std::pop_heap(heap_.begin(), heap_.end(), std::greater<Entry>());
  const Entry entry = heap_.back();
  heap_.pop_back();
  return entry;
}

// Costs the heap's length after as many cancels: constant for each.
void TimerQueue::DropCancelled() {
  std::erase_if(heap_, [this](const Entry& entry) { return !timers_.contains(entry.id); });
  std::make_heap(heap_.begin(), heap_.end(), std::greater<Entry>());
}

uint32_t TimerQueue::Run(TimePoint now) {
  uint32_t run_count = 0;
  // Timers added by callbacks wait for the next turn, so that a timer of no delay cannot hold the
  // loop.
  const TimerId first_new_id = next_id_;
  running_ = true;
  while (!heap_.empty() && heap_.front().deadline <= now) {
    const Entry entry = Pop();
    const auto it = timers_.find(entry.id);
    if (it == timers_.end()) continue;  // cancelled
    if (entry.id >= first_new_id) {
      set_aside_.push_back(entry);
      continue;
    }
    // Out of the map while it runs: the callback may cancel itself or make the map grow.
    Timer timer = std::move(it->second);
    const bool periodic = timer.period.count() > 0;
    if (!periodic) timers_.erase(it);
    timer.callback();
    ++run_count;
    if (periodic) {
      // Still there unless it cancelled itself meanwhile.
      if (const auto again = timers_.find(entry.id); again != timers_.end()) {
        const Duration period = timer.period;
        again->second = std::move(timer);
        Push({now + period.count(), entry.id});
      }
    }
  }
  running_ = false;
  for (const Entry& entry : set_aside_) Push(entry);
  set_aside_.clear();
  return run_count;
}

}  // namespace ringmaster
