#include <algorithm>
#include <new>

#include "engine/connection/guard.h"
#include "engine/handoff/giver.h"
#include "engine/listener/farewell.h"
#include "engine/worker/fresh_grace.h"
#include "engine/worker/worker.h"

// How a worker ends whose place another has. It does not hurry: what could not be handed over comes
// to its own end, or is told to go at the end of drain_timeout, one after the other.

namespace ringmaster {
namespace {

constexpr Duration kTickMin = std::chrono::milliseconds(5);
// After the last was told to go.
constexpr Duration kGoodbyeMax = std::chrono::seconds(5);

}  // namespace

void Worker::Retire() {
  if (retiring_ || stopping_) return;
  retiring_ = true;
  if (giver_ != nullptr) giver_->ForgetGiven();
  LetTakenBegin();
  for (const auto& listener : listeners_) listener->Yield();
  farewell_->Hurry();
  TellDraining(/*also_fresh=*/false);
  try {
    AddTimer(kFreshConnectionGrace, Duration::zero(),
             [this] { TellDraining(/*also_fresh=*/true); });
    AddTimer(server_.options.drain_timeout, Duration::zero(), [this] { EndDrain(); });
  } catch (const std::bad_alloc&) {
    Stop();  // nothing would bound it
  }
}

void Worker::TellDraining(bool also_fresh) {
  for (uint32_t slot = 0; slot < slab_.slot_count(); ++slot) {
    Connection* const connection = slab_.At(slot);
    if (connection == nullptr || !connection->open() || connection->outbound_ ||
        connection->drain_told_ || (!also_fresh && connection->IsFresh())) {
      continue;
    }
    // It moves when it can: an answer that is under way may end.
    if (giver_ != nullptr && giver_->gives() && !connection->stays_) continue;
    connection->drain_told_ = true;
    connection->Guard([&] { connection->session_->OnDrain(*connection); });
  }
}

// Slot by slot, as many at a time as it takes to be through by the end of drain_spread.
void Worker::EndDrain() {
  if (stopping_) return;
  for (const auto& listener : listeners_) listener->Stop();
  drain_slot_ = 0;
  const uint32_t left = std::max<uint32_t>(slab_.used_count(), 1);
  const Duration tick = std::max<Duration>(server_.options.drain_spread / left, kTickMin);
  const auto ticks = std::max(static_cast<uint32_t>(server_.options.drain_spread / tick), 1u);
  drain_at_a_time_ = (left - 1) / ticks + 1;
  AddTimer(Duration::zero(), tick, [this] { DrainNext(); });
  AddTimer(server_.options.drain_spread + kGoodbyeMax, Duration::zero(), [this] { StopNow(); });
}

void Worker::DrainNext() {
  uint32_t told = 0;
  for (; drain_slot_ < slab_.slot_count() && told < drain_at_a_time_; ++drain_slot_) {
    Connection* const connection = slab_.At(drain_slot_);
    if (connection == nullptr || !connection->open() || connection->stop_told_) continue;
    ++told;
    counters().drain_closed.Add();
    connection->stop_told_ = true;
    connection->Guard([&] { connection->session_->OnStop(*connection); });
  }
}

}  // namespace ringmaster
