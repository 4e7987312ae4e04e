#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "engine/limits/shared_limits.h"
#include "engine/server.h"
#include "engine/stats/counters.h"
#include "engine/worker/worker.h"
#include "tests/engine/simulation/simulated_ring.h"
#include "tests/engine/simulation/world.h"

namespace ringmaster::simulation {

// The real worker with one listener, on a simulated ring.
//
//   World world(seed);
//   SimulatedEngine engine(world, protocol, {});
//   auto peer = engine.ConnectPeer();
//   engine.RunFor(std::chrono::seconds(1));
class SimulatedEngine {
 public:
  struct Options {
    SimulatedRing::Options ring;
    StreamOptions stream;
    uint32_t connections_max = 1000;  // of the worker
    uint32_t server_connections_max = 0;
    uint32_t listener_connections_max = 0;
    AtLimit at_limit = AtLimit::kWait;
    AddressLimits address;
    size_t backlog = 1000;
    Duration stop_timeout = std::chrono::seconds(30);
    uint64_t buffered_bytes_soft = 0;
    uint64_t buffered_bytes_hard = 0;
  };

  SimulatedEngine(World& world, Protocol& protocol, const Options& options);

  Worker& worker() { return *worker_; }
  SimulatedRing& ring() { return *ring_; }
  WorkerCounters& counters() const { return counters_; }
  const StreamOptions& stream_options() const { return server_.listeners()[0]->stream; }
  int listener() const { return listener_; }

  std::shared_ptr<SimulatedStream> ConnectPeer(const SimulatedStream::Room& room = {},
                                               const PeerAddress& address = {}) {
    return ring_->ConnectPeer(listener_, room, address);
  }

  // Turns of the loop until that much time has passed, or the worker has stopped.
  void RunFor(Duration duration);
  // Worker::Post, for what peers and operators do.
  void Post(absl::AnyInvocable<void()> task) {
    worker_->Post(std::move(task));
    ring_->ExpectRealInput();
  }
  // Asks the worker to stop, from outside as its master would.
  void PostStop() {
    Post([this] { worker_->Stop(); });
  }
  // Turns until the worker has stopped. Fails the simulation when that takes more than `turns_max`.
  void RunUntilStopped(uint64_t turns_max);
  // Stops and fails the simulation unless everything has come home.
  void ExpectNothingLeft();

 private:
  World& world_;
  ServerDefinition server_;
  std::unique_ptr<SharedLimits> limits_;
  std::unique_ptr<WorkerCounters> counters_storage_;
  WorkerCounters& counters_;
  SimulatedRing* ring_ = nullptr;  // the worker's
  int listener_ = -1;
  std::unique_ptr<Worker> worker_;
  bool stopped_ = false;
};

}  // namespace ringmaster::simulation
