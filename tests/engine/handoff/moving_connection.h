#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/connection/connection.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/server.h"
#include "engine/worker/worker.h"
#include "tests/engine/simulation/simulated_ring.h"

namespace ringmaster {

// What the session of `connection` saves for another process; nothing when it does not move.
inline std::optional<std::string> SaveSession(Connection& connection) {
  Session& session = *connection.session();
  if (!session.CanMove(connection)) return std::nullopt;
  session.OnHandoff(connection);
  if (!session.CanMove(connection)) return std::nullopt;
  std::string state;
  StateWriter out(state);
  session.Save(connection, out);
  return state;
}

// Puts the session that `to` makes of `state` in the place of the connection's. False: none.
inline bool RestoreSession(Connection& connection, Protocol& to, std::string_view state) {
  StateReader in(state);
  std::unique_ptr<Session> session = to.Restore(connection, in);
  if (session == nullptr) return false;
  connection.ReplaceSession(std::move(session));
  connection.session()->OnAdopted(connection);
  // What is not consumed is offered to it, from its first byte on.
  connection.PauseReceive();
  connection.ResumeReceive();
  return true;
}

// A worker on the simulated ring and connections to its one listener. A session moves to another
// protocol object, the new process's, within its connection: what the engine moves stays in place.
class MovingWorker {
 public:
  explicit MovingWorker(Protocol& protocol, ListenerDefinition listener = {}) : first_(protocol) {
    auto ring = std::make_unique<simulation::SimulatedRing>(
        world_, simulation::SimulatedRing::Options{.buffer_count = 8, .buffer_bytes = 4096});
    ring_ = ring.get();
    WorkerEnvironment environment;
    environment.counters = &counters_;
    listening_fd_ = ring_->AddListener(16);
    environment.listening_sockets = {{0, listening_fd_}};
    listener.protocol = &first_;
    server_.options.queue_time_max = Duration::zero();
    server_.Listen(std::move(listener));
    worker_ = std::make_unique<Worker>(server_, environment, std::move(ring));
    worker_->Start();
  }
  ~MovingWorker() {
    worker_->StopNow();
    for (int turns = 0; worker_->Turn(); ++turns) CHECK(turns < 10'000);
  }
  MovingWorker(const MovingWorker&) = delete;
  MovingWorker& operator=(const MovingWorker&) = delete;

  class Peer {
   public:
    // May be fed in one call more than one receive brings.
    void Feed(std::string_view bytes) {
      while (!bytes.empty()) {
        bytes.remove_prefix(stream_->PeerSend(bytes));
        worker_->AdvanceTime(std::chrono::milliseconds(1));
      }
    }
    // Everything that came since the last call.
    std::string Read() { return stream_->PeerRead(SIZE_MAX); }
    void Finish() {
      stream_->PeerFinish();
      worker_->AdvanceTime(std::chrono::milliseconds(1));
    }
    bool ended() const { return stream_->peer_sees_end() || stream_->peer_sees_reset(); }
    // nullptr when it is gone.
    Connection* connection() const { return worker_->worker().Find(id_); }

    // False: the session does not move, or `to` cannot take it; it goes on as it was.
    bool MoveTo(Protocol& to) {
      if (connection() == nullptr) return false;
      const std::optional<std::string> state = SaveSession(*connection());
      return state && Restore(to, *state);
    }
    bool Restore(Protocol& to, std::string_view state) {
      const bool restored = RestoreSession(*connection(), to, state);
      worker_->AdvanceTime(std::chrono::milliseconds(1));
      return restored;
    }

   private:
    friend class MovingWorker;
    MovingWorker* worker_ = nullptr;
    std::shared_ptr<simulation::SimulatedStream> stream_;
    uint64_t id_ = 0;
  };

  Peer Connect(const PeerAddress& address = {}) {
    Peer peer;
    peer.worker_ = this;
    first_.last_id = 0;
    peer.stream_ = ring_->ConnectPeer(listening_fd_, {}, address);
    AdvanceTime(std::chrono::milliseconds(1));
    peer.id_ = first_.last_id;
    return peer;
  }

  void AdvanceTime(Duration duration) {
    bool over = false;
    worker_->AddTimer(duration, Duration::zero(), [&over] { over = true; });
    while (!over) worker_->Turn();
  }

  Worker& worker() { return *worker_; }
  WorkerCounters& counters() { return counters_; }

 private:
  // The protocol of the listener, and whom it met last.
  struct Noting final : public Protocol {
    explicit Noting(Protocol& of) : inner(of) {}
    std::string_view name() const override { return inner.name(); }
    bool NamesPeer() const override { return inner.NamesPeer(); }
    std::unique_ptr<Session> NewSession(Connection& connection) override {
      last_id = connection.id();
      return inner.NewSession(connection);
    }
    Protocol& inner;
    uint64_t last_id = 0;
  };

  simulation::World world_{7};
  WorkerCounters counters_;
  ServerDefinition server_;
  Noting first_;
  simulation::SimulatedRing* ring_ = nullptr;
  std::unique_ptr<Worker> worker_;
  int listening_fd_ = -1;
};

// `state` damaged in every way that one byte can be, and every beginning of it.
inline std::vector<std::string> Damaged(std::string_view state) {
  std::vector<std::string> all;
  for (size_t i = 0; i < state.size(); ++i) {
    all.emplace_back(state.substr(0, i));
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped(state);
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      all.push_back(std::move(flipped));
    }
  }
  return all;
}

}  // namespace ringmaster
