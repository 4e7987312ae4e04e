#include "engine/listener/unlinked_receives.h"

#include <algorithm>
#include <new>

#include "engine/connection/connection.h"
#include "engine/worker/worker.h"

namespace ringmaster {
namespace {

constexpr Duration kWindowMax = std::chrono::milliseconds(250);
// The timer fires so many times a window, at most, for all that came meanwhile.
constexpr int kLooksPerWindow = 8;

Duration WindowOf(const Timeouts& timeouts) {
  const Duration first = timeouts.handshake.count() > 0 ? timeouts.handshake : timeouts.read;
  return first.count() > 0 ? std::min(kWindowMax, first / 2) : kWindowMax;
}

}  // namespace

UnlinkedReceives::UnlinkedReceives(Worker& worker, const Timeouts& timeouts)
    : worker_(worker), window_(WindowOf(timeouts)) {}

bool UnlinkedReceives::Add(const Connection& connection) {
  try {
    if (!timer_set_) LookLater();
    entries_.push_back({connection.id(), worker_.now() + window_.count()});
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void UnlinkedReceives::LookLater() {
  const Duration soonest = window_ / kLooksPerWindow;
  const Duration due = entries_.empty() ? window_ : Duration(entries_.front().due - worker_.now());
  worker_.AddTimer(std::max(soonest, due), Duration::zero(), [this] { Look(); });
  timer_set_ = true;
}

void UnlinkedReceives::LinkDueUntil(TimePoint end) {
  while (!entries_.empty() && entries_.front().due <= end) {
    const uint64_t id = entries_.front().connection_id;
    entries_.pop_front();
    if (Connection* const connection = worker_.Find(id)) connection->LinkReadDeadline();
  }
}

void UnlinkedReceives::Look() {
  timer_set_ = false;
  LinkDueUntil(worker_.now());
  if (entries_.empty()) return;
  try {
    LookLater();
  } catch (const std::bad_alloc&) {
    // Nobody looks again: all of them are seen to now.
    LinkDueUntil(kNever);
  }
}

}  // namespace ringmaster
