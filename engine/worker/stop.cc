#include <vector>

#include "engine/connection/guard.h"
#include "engine/worker/worker.h"

// How a worker ends: the door closes, what was received is answered, then it drains to nothing in
// flight.

namespace ringmaster {
namespace {

// A connection that has not sent anything yet may have its first request on the way: it gets this
// long.
constexpr Duration kFreshConnectionGrace = std::chrono::milliseconds(500);

}  // namespace

void Worker::Stop() {
  if (stopping_) return;
  stopping_ = true;
  for (const auto& listener : listeners_) listener->Stop();
  TellStop(/*also_fresh=*/false);
  AddTimer(kFreshConnectionGrace, Duration::zero(), [this] { TellStop(/*also_fresh=*/true); });
  if (server_.options.stop_timeout.count() > 0) {
    AddTimer(server_.options.stop_timeout, Duration::zero(), [this] { StopNow(); });
  }
}

void Worker::TellStop(bool also_fresh) {
  // Collected first: what a session does may add or release connections.
  std::vector<SlotRef> open;
  slab_.ForEach([&](Connection& connection) {
    if (connection.state_ == Connection::State::kOpen && !connection.stop_told_) {
      open.push_back({connection.slot_, connection.generation_});
    } else if (connection.state_ == Connection::State::kConnecting) {
      open.push_back({connection.slot_, connection.generation_});
    }
  });
  for (const SlotRef& ref : open) {
    Connection* connection = slab_.Get(ref.slot, ref.generation);
    if (connection == nullptr) continue;
    if (connection->state_ == Connection::State::kConnecting) {
      connection->Abort(CloseReason::kServerStopping);
    } else if (!also_fresh && connection->bytes_received_ == 0 && !connection->outbound_) {
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
  std::vector<SlotRef> all;
  slab_.ForEach([&](Connection& connection) {
    all.push_back({connection.slot_, connection.generation_});
  });
  for (const SlotRef& ref : all) {
    if (Connection* connection = slab_.Get(ref.slot, ref.generation)) {
      connection->Abort(CloseReason::kServerStopping);
    }
  }
}

bool Worker::Stopped() const {
  if (!stopping_ || slab_.used_count() > 0 || closes_in_flight_ > 0) return false;
  for (const auto& listener : listeners_) {
    if (!listener->stopped()) return false;
  }
  return true;
}

}  // namespace ringmaster
