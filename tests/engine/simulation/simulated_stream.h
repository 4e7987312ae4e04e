#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "engine/connection/address.h"
#include "tests/engine/simulation/byte_queue.h"
#include "tests/engine/simulation/world.h"

namespace ringmaster::simulation {

struct Operation;
class SimulatedRing;

// One TCP connection: the engine's socket and the peer's in one object, with the two byte streams
// between them. A test plays the peer through the Peer... functions; the ring plays the kernel
// under the engine through the rest.
class SimulatedStream : public std::enable_shared_from_this<SimulatedStream> {
 public:
  // How many bytes fit between the two sides, each way, before the sender has to wait.
  struct Room {
    size_t to_engine_bytes = 64 * 1024;
    size_t to_peer_bytes = 64 * 1024;
  };

  SimulatedStream(World& world, const Room& room, const PeerAddress& peer_address = {})
      : world_(world), room_(room), peer_address_(peer_address) {}

  // -- The peer
  // --------------------------------------------------------------------------------------

  // Sends what there is room for and returns how many bytes that was. To a closed socket: all of
  // it, and the answer is a reset.
  size_t PeerSend(std::string_view bytes);
  // shutdown(SHUT_WR): the engine receives 0.
  void PeerFinish();
  // close(2): a reset when bytes are left unread, else FIN, and a reset for whatever still arrives.
  void PeerClose();
  // close(2) with SO_LINGER 0.
  void PeerReset();
  std::string PeerRead(size_t bytes_max);
  size_t peer_readable() const { return peer_gone_ ? 0 : to_peer_.size(); }
  // The engine's FIN, behind the last byte.
  bool peer_sees_end() const { return finished_ && to_peer_.empty() && !peer_sees_reset_; }
  bool peer_sees_reset() const { return peer_sees_reset_; }
  // Called soon after the engine sent, took bytes, finished or reset.
  void set_peer_hook(absl::AnyInvocable<void()> hook) { peer_hook_ = std::move(hook); }

  // -- The engine's socket, for the ring
  // ---------------------------------------------------------------

  // recv(2) without waiting: bytes, 0 = FIN, -EAGAIN, -ECONNRESET (once).
  int Receive(std::span<char> out);
  bool HasInput() const { return !to_engine_.empty(); }
  // A receive would not have to wait.
  bool Readable() const { return HasInput() || peer_finished_ || reset_ || receive_shut_; }
  // send(2) without waiting: bytes, -EAGAIN, -EPIPE, -ECONNRESET (once).
  int Send(std::string_view bytes);
  void Shutdown(int how);
  void DiscardUnsent() { discard_unsent_ = true; }
  void Close();
  // Whom getpeername(2) names.
  const PeerAddress& peer_address() const { return peer_address_; }
  bool closed() const { return closed_; }
  TimePoint closed_at() const { return closed_at_; }

 private:
  friend class SimulatedRing;

  void WakePeer();
  void WakeRing();
  void ResetPeer();

  World& world_;
  const Room room_;
  const PeerAddress peer_address_;
  absl::AnyInvocable<void()> peer_hook_;
  bool peer_wake_scheduled_ = false;

  ByteQueue to_engine_;
  ByteQueue to_peer_;
  bool peer_finished_ = false;
  bool peer_gone_ = false;  // the peer closed: whatever is sent to it brings a reset
  bool peer_sees_reset_ = false;
  bool reset_scheduled_ = false;
  bool error_pending_ = false;  // ECONNRESET, for the first call that asks
  bool reset_ = false;
  bool finished_ = false;  // the engine's FIN
  bool receive_shut_ = false;
  bool discard_unsent_ = false;  // the close resets
  bool closed_ = false;
  TimePoint closed_at_ = 0;

  // Set by the ring while its socket exists; operations while the kernel holds them.
  SimulatedRing* ring_ = nullptr;
  Operation* receive_operation_ = nullptr;
  Operation* send_operation_ = nullptr;
};

}  // namespace ringmaster::simulation
