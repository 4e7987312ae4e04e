#pragma once

#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "engine/ring/kernel_ring.h"
#include "engine/worker/worker.h"
#include "gtest/gtest.h"
#include "tests/engine/await.h"
#include "tests/engine/faults/fault_ring.h"
#include "tests/engine/faults/memory_faults.h"
#include "tests/engine/faults/sockets.h"
#include "tests/engine/line_protocol.h"

namespace ringmaster::faults {

// A worker that echoes lines, on a real ring with faults in front of it, turned on the test's own
// thread until `client`, on another, has finished and the worker has stopped. At the end everything
// has come home, whatever went wrong meanwhile.
class WorkerUnderFaults : public testing::Test {
 protected:
  WorkerUnderFaults() {
    lines_.on_message = [](Lines::Peer& peer, std::string_view line) { peer.Send(line); };
    lines_.on_close = [this](Lines::Peer&, CloseReason reason) { ++closed_for_[reason]; };
  }

  void Run(const std::function<void(uint16_t port)>& client) {
    counters_ = std::make_unique<WorkerCounters>();
    closed_for_.clear();
    uint16_t port = 0;
    const int listening_fd = ListenOnLoopback(port);
    ASSERT_GE(listening_fd, 0);
    ServerDefinition server;
    server.options = server_options_;
    ListenerDefinition listener;
    listener.protocol = &lines_;
    listener.stream = stream_;
    server.Listen(std::move(listener));
    WorkerEnvironment environment;
    environment.listening_sockets = {{0, listening_fd}};
    environment.counters = counters_.get();
    auto kernel = KernelRing::Create(ring_options_);
    ASSERT_TRUE(kernel.ok()) << kernel.status();
    auto ring = std::make_unique<FaultRing>(*std::move(kernel), /*seed=*/1);
    ring_ = ring.get();
    ring->set_rates(rates_);
    Worker worker(server, environment, std::move(ring));
    worker_ = &worker;
    worker.Start();
    if (started_) started_();
    std::thread thread([&] {
      client(port);
      worker.Post([&worker] { worker.Stop(); });
    });
    while (worker.Turn()) {
    }
    thread.join();
    MemoryFaults::Stop();
    ExpectEverythingHome();
    worker_ = nullptr;
    close(listening_fd);
  }

  // Runs `task` on the worker's thread and waits until it has.
  void InWorker(const std::function<void()>& task) {
    std::atomic<bool> done = false;
    worker_->Post([&] {
      task();
      done = true;
    });
    while (!done) std::this_thread::yield();
  }

  // What the clients closed is closed: a worker that is told to stop before it has seen their ends
  // of input closes the connections for its own reason.
  void AwaitClosed(uint64_t count) {
    Await([&] { return counters_->connections_closed.Get() >= count; });
  }

  void ExpectEverythingHome() {
    EXPECT_EQ(worker_->connection_count(), 0u);
    EXPECT_EQ(counters_->connections_open.Get(), 0u);
    EXPECT_EQ(counters_->connections_closed.Get(),
              counters_->connections_accepted.Get() + outbound_count_);
    uint64_t closed = 0;
    for (const Counter& counter : counters_->closed_by_reason) closed += counter.Get();
    EXPECT_EQ(closed, counters_->connections_closed.Get());
    EXPECT_EQ(counters_->closed_by_reason[0].Get(), 0u) << "closed for no reason";
    EXPECT_EQ(worker_->ring().BuffersAtHome(), worker_->ring().BufferCount());
  }

  uint64_t ClosedFor(CloseReason reason) const {
    return counters_->closed_by_reason[static_cast<int>(reason)].Get();
  }

  RingOptions ring_options_;
  FaultRates rates_;
  StreamOptions stream_;
  ServerOptions server_options_;
  Lines lines_;
  std::function<void()> started_;  // before the first turn, on the worker's thread
  std::unique_ptr<WorkerCounters> counters_;
  std::map<CloseReason, int> closed_for_;
  uint64_t outbound_count_ = 0;
  Worker* worker_ = nullptr;
  FaultRing* ring_ = nullptr;
};

}  // namespace ringmaster::faults
