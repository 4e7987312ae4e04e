#include "tests/engine/simulation/simulated_stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "tests/engine/simulation/simulated_ring.h"

namespace ringmaster::simulation {

size_t SimulatedStream::PeerSend(std::string_view bytes) {
  if (peer_sees_reset_ || peer_gone_ || peer_finished_ || reset_) return bytes.size();
  if (closed_) {
    ResetPeer();
    return bytes.size();
  }
  const size_t room = room_.to_engine_bytes - std::min(room_.to_engine_bytes, to_engine_.size());
  bytes = bytes.substr(0, room);
  to_engine_.Append(bytes);
  if (!bytes.empty()) WakeRing();
  return bytes.size();
}

void SimulatedStream::PeerFinish() {
  if (peer_finished_ || reset_) return;
  peer_finished_ = true;
  WakeRing();
}

void SimulatedStream::PeerClose() {
  if (peer_gone_) return;
  if (!to_peer_.empty()) return PeerReset();
  peer_gone_ = true;
  peer_finished_ = true;
  WakeRing();
}

void SimulatedStream::PeerReset() {
  if (reset_) return;
  peer_gone_ = true;
  reset_ = true;
  error_pending_ = true;
  if (world_.random.Chance(world_.faults.reset_loses_input)) to_engine_.Clear();
  to_peer_.Clear();
  WakeRing();
}

std::string SimulatedStream::PeerRead(size_t bytes_max) {
  std::string bytes;
  if (peer_gone_) return bytes;
  bytes.resize(std::min(bytes_max, to_peer_.size()));
  to_peer_.Take(bytes.data(), bytes.size());
  if (!bytes.empty()) WakeRing();
  return bytes;
}

int SimulatedStream::Receive(std::span<char> out) {
  if (!to_engine_.empty()) {
    WakePeer();
    return static_cast<int>(to_engine_.Take(out.data(), out.size()));
  }
  // Linux hands the error to whoever asks first, receive or send; after that there is only the end.
  if (error_pending_) {
    error_pending_ = false;
    return -ECONNRESET;
  }
  return reset_ || peer_finished_ || receive_shut_ ? 0 : -EAGAIN;
}

int SimulatedStream::Send(std::string_view bytes) {
  if (error_pending_) {
    error_pending_ = false;
    return -ECONNRESET;
  }
  if (reset_ || finished_) return -EPIPE;
  if (peer_gone_) {
    // The kernel takes the bytes; the peer's host answers them with a reset a little later.
    if (!reset_scheduled_) {
      reset_scheduled_ = true;
      world_.After(std::chrono::microseconds(world_.random.Between(1, 50)),
                   [self = shared_from_this()] { self->PeerReset(); });
    }
    return static_cast<int>(bytes.size());
  }
  const size_t room = room_.to_peer_bytes - std::min(room_.to_peer_bytes, to_peer_.size());
  if (room == 0) return -EAGAIN;
  bytes = bytes.substr(0, room);
  to_peer_.Append(bytes);
  WakePeer();
  return static_cast<int>(bytes.size());
}

void SimulatedStream::Shutdown(int how) {
  if (how == SHUT_WR || how == SHUT_RDWR) finished_ = true;
  if (how == SHUT_RD || how == SHUT_RDWR) receive_shut_ = true;
  WakePeer();
}

void SimulatedStream::Close() {
  closed_ = true;
  closed_at_ = world_.now();
  ring_ = nullptr;
  if (!to_engine_.empty() || discard_unsent_) {
    // Bytes nobody read: Linux sends RST instead of FIN, and it may overtake our last answer. So it
    // does when it is told not to keep what it has not sent.
    to_engine_.Clear();
    ResetPeer();
  } else {
    finished_ = true;
    WakePeer();
  }
}

void SimulatedStream::ResetPeer() {
  if (peer_gone_) return;
  peer_sees_reset_ = true;
  if (world_.random.Chance(world_.faults.reset_loses_input)) to_peer_.Clear();
  WakePeer();
}

void SimulatedStream::WakePeer() {
  if (peer_wake_scheduled_) return;
  peer_wake_scheduled_ = true;
  world_.After(std::chrono::microseconds(world_.random.Between(1, 30)),
               [self = shared_from_this()] {
                 self->peer_wake_scheduled_ = false;
                 if (self->peer_hook_) self->peer_hook_();
               });
}

void SimulatedStream::WakeRing() {
  if (ring_ != nullptr) ring_->OnStreamChanged(*this);
}

}  // namespace ringmaster::simulation
