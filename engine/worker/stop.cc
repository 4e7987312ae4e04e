#include <new>

#include "engine/connection/guard.h"
#include "engine/handoff/giver.h"
#include "engine/handoff/taker.h"
#include "engine/listener/farewell.h"
#include "engine/worker/fresh_grace.h"
#include "engine/worker/orphan.h"
#include "engine/worker/worker.h"

// How a worker ends: the door closes, what was received is answered, then it drains to nothing in
// flight.

namespace ringmaster {
void Worker::Stop() {
  if (stopping_) return;
  stopping_ = true;
  if (orphan_ != nullptr) orphan_->End();
  if (giver_ != nullptr) {
    giver_->End();
    giver_->ForgetGiven();
  }
  LetTakenBegin();
  for (const auto& listener : listeners_) listener->Stop();
  farewell_->Hurry();
  TellStop(/*also_fresh=*/false);
  try {
    AddTimer(kFreshConnectionGrace, Duration::zero(), [this] { TellStop(/*also_fresh=*/true); });
    if (server_.options.stop_timeout.count() > 0) {
      AddTimer(server_.options.stop_timeout, Duration::zero(), [this] { StopNow(); });
    }
  } catch (const std::bad_alloc&) {
    // A stop that nothing bounds is worse than one that is not graceful.
    StopNow();
  }
}

// By slot, because what a session does may add or release connections.
void Worker::TellStop(bool also_fresh) {
  for (uint32_t slot = 0; slot < slab_.slot_count(); ++slot) {
    Connection* const connection = slab_.At(slot);
    if (connection == nullptr) continue;
    if (connection->state_ == Connection::State::kConnecting) {
      connection->Abort(CloseReason::kServerStopping);
    } else if (connection->state_ != Connection::State::kOpen || connection->stop_told_) {
      continue;
    } else if (!also_fresh && connection->IsFresh() && !connection->outbound_) {
      connection->deferred_stop_ = true;
    } else {
      connection->deferred_stop_ = false;
      connection->stop_told_ = true;
      connection->Guard([&] { connection->session_->OnStop(*connection); });
    }
  }
}

void Worker::StopNow() {
  Stop();
  for (const auto& taker : takers_) taker->Abandon();
  for (uint32_t slot = 0; slot < slab_.slot_count(); ++slot) {
    if (Connection* const connection = slab_.At(slot)) {
      connection->Abort(CloseReason::kServerStopping);
    }
  }
}

bool Worker::Stopped() const {
  if (!stopping_ || slab_.used_count() > 0 || closes_in_flight_ > 0 || !farewell_->idle()) {
    return false;
  }
  for (const auto& listener : listeners_) {
    if (!listener->stopped()) return false;
  }
  return true;
}

}  // namespace ringmaster
