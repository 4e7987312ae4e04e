#include "engine/worker/timer_queue.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace ringmaster {
namespace {

// Below, searching for cancelled entries costs more than they do.
constexpr size_t kEntriesSmall = 64;

}  // namespace

TimerId TimerQueue::Add(TimePoint deadline, Duration period, absl::AnyInvocable<void()> callback) {
  const TimerId id = next_id_++;
  timers_.emplace(id, Timer{period, std::move(callback)});
  Push({deadline, id});
  return id;
}

bool TimerQueue::Cancel(TimerId id) {
  if (timers_.erase(id) == 0) return false;
  if (heap_.size() > kEntriesSmall && heap_.size() > 2 * timers_.size()) DropCancelled();
  return true;
}

void TimerQueue::Push(Entry entry) {
  heap_.push_back(entry);
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
}

TimerQueue::Entry TimerQueue::Pop() {
  std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
  const Entry entry = heap_.back();
  heap_.pop_back();
  return entry;
}

void TimerQueue::DropCancelled() {
  std::erase_if(heap_, [this](const Entry& entry) { return !timers_.contains(entry.id); });
  std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
}

uint32_t TimerQueue::Run(TimePoint now) {
  uint32_t run_count = 0;
  // Timers added by callbacks wait for the next turn, so that a timer of no delay cannot hold the
  // loop.
  const TimerId first_new_id = next_id_;
  std::vector<Entry> repeated;
  while (!heap_.empty() && heap_.front().deadline <= now) {
    const Entry entry = Pop();
    const auto it = timers_.find(entry.id);
    if (it == timers_.end()) continue;  // cancelled
    if (entry.id >= first_new_id) {
      repeated.push_back(entry);
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
        repeated.push_back({now + period.count(), entry.id});
      }
    }
  }
  for (const Entry& entry : repeated) Push(entry);
  return run_count;
}

}  // namespace ringmaster
