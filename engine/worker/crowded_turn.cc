#include <algorithm>
#include <array>

#include "engine/connection/connection.h"
#include "engine/connection/operation.h"
#include "engine/worker/worker.h"

// More has completed than a turn may take time for. A turn ends after kHandleMax all the same, so
// that what its handlers have queued leaves and deadlines are kept; the rest waits in the backlog.
// Whoever has just arrived does not wait behind it: a thousand connections that flood would
// otherwise keep a health check from its answer for as long as a thousand turns of theirs take.

namespace ringmaster {
namespace {

// Completions handled between two looks at the clock, while there is time.
constexpr size_t kHandledPerLook = 16;
constexpr Duration kHandleMax = std::chrono::milliseconds(5);
// Of it, for arrivals. Half: they shall not be everything.
constexpr Duration kArrivalsMax = kHandleMax / 2;
// The completions waited for when everything shall come that there is.
constexpr uint32_t kEverything = 1024;

}  // namespace

// Sends the worker a wake-up when it is busy: QueueProbe.
void Worker::AskQueue() {
  if (!queue_probe_.WantsToAsk(now_, completions_last_turn_ >= kBusyCompletions)) return;
  queue_probe_.Asked(now_);
  Wake();
}

// True: `wait` takes everything in that has completed, and does not wait.
bool Worker::TakeEverything(Ring::Wait& wait) const {
  // What was closed for its memory gives it back with its last completions.
  if (!queue_probe_.Late(now_) && doomed_bytes_ == 0) return false;
  wait.completions_min = kEverything;
  wait.deadline = now_;
  return true;
}

void Worker::HandleCompletions() {
  uint32_t handled = 0;
  if (!crowded_) {
    std::array<Completion, kHandledPerLook> completions;
    while (true) {
      const size_t count = ring_->Reap(completions);
      for (size_t i = 0; i < count; ++i) Dispatch(completions[i]);
      handled += static_cast<uint32_t>(count);
      if (count < completions.size()) break;
      if (ring_->Now() - now_ >= kHandleMax.count()) {
        crowded_ = true;
        counters().turns_crowded.Add();
        break;
      }
    }
  } else {
    handled = HandleBacklog();
  }
  completions_last_turn_ = handled;
}

uint32_t Worker::HandleBacklog() {
  backlog_.TakeFrom(*ring_);
  // Costs nothing and gives memory back.
  uint32_t handled = HandleFirst(&Worker::IsOfClosing, kNever);
  handled += HandleFirst(&Worker::IsArrival, now_ + kArrivalsMax.count());
  const TimePoint end = now_ + kHandleMax.count();
  while (!backlog_.empty()) {
    const Completion completion = backlog_.TakeFirst();
    if (completion.user_data.value == 0) continue;
    Dispatch(completion);
    ++handled;
    if (ring_->Now() >= end) break;
  }
  crowded_ = !backlog_.empty();
  return handled;
}

// Always from the front: what completed for one connection keeps its order.
uint32_t Worker::HandleFirst(bool (Worker::*comes_first)(const Completion&), TimePoint end) {
  uint32_t handled = 0;
  for (size_t place = 0; place < backlog_.size(); ++place) {
    if (backlog_.gone(place) || !(this->*comes_first)(backlog_.at(place))) continue;
    Dispatch(backlog_.TakeOut(place));
    ++handled;
    if (end != kNever && ring_->Now() >= end) break;
  }
  return handled;
}

bool Worker::IsOfClosing(const Completion& completion) {
  const Connection* const connection = ConnectionOf(completion);
  return connection != nullptr && connection->state_ == Connection::State::kClosing;
}

// A new connection, or the first bytes of one.
bool Worker::IsArrival(const Completion& completion) {
  if (completion.user_data.operation() == kOperationAccept) return true;
  const Connection* const connection = ConnectionOf(completion);
  return connection != nullptr && connection->bytes_received_ == 0 &&
         completion.user_data.operation() == kOperationReceive;
}

const Connection* Worker::ConnectionOf(const Completion& completion) {
  const UserData& user_data = completion.user_data;
  if (!IsOfConnection(static_cast<Operation>(user_data.operation()))) return nullptr;
  return slab_.Get({user_data.slot(), user_data.generation()});
}

}  // namespace ringmaster
