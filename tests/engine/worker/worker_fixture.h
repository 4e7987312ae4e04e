#pragma once

#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/framed_protocol.h"
#include "engine/ring/kernel_ring.h"
#include "engine/worker/worker.h"
#include "gtest/gtest.h"
#include "tests/engine/await.h"
#include "tests/engine/line_protocol.h"
#include "tests/engine/worker/loopback.h"

namespace ringmaster {

struct Counted {
  Counted() { ++constructed; }
  ~Counted() { ++destroyed; }
  static inline int constructed = 0;
  static inline int destroyed = 0;
};

// A worker with one listener, turned on the test's own thread until `client`, on another, has
// finished and the worker has stopped.
class WorkerTest : public testing::Test {
 protected:
  using Lines = FramedProtocol<LineProtocol, Counted>;
  using Peer = Lines::Peer;

  WorkerTest() {
    lines_.on_message = [](Peer& peer, std::string_view line) { peer.Send(line); };
    lines_.on_close = [this](Peer&, CloseReason reason) { close_reasons_.push_back(reason); };
    Counted::constructed = Counted::destroyed = 0;
  }

  void Run(const std::function<void(uint16_t port)>& client) {
    uint16_t port = 0;
    const int listening_fd = ListenOnLoopback(port);
    ListenerDefinition listener;
    listener.protocol = &lines_;
    listener.stream = stream_;
    server_.Listen(std::move(listener));
    WorkerEnvironment environment;
    environment.listening_sockets = {{0, listening_fd}};
    environment.counters = &counters_;
    auto ring = KernelRing::Create({});
    ASSERT_TRUE(ring.ok()) << ring.status();
    worker_ = std::make_unique<Worker>(server_, environment, *std::move(ring));
    worker_->Start();
    if (started_) started_(*worker_, port);
    std::thread thread([&] {
      client(port);
      worker_->Post([this] { worker_->Stop(); });
    });
    while (worker_->Turn()) {
    }
    thread.join();
    EXPECT_EQ(counters_.connections_open.Get(), 0u);
    EXPECT_EQ(counters_.connections_closed.Get(),
              counters_.connections_accepted.Get() + outbound_count_);
    EXPECT_EQ(worker_->ring().BuffersAtHome(), worker_->ring().BufferCount());
    EXPECT_EQ(Counted::constructed, Counted::destroyed);
    worker_.reset();
    close(listening_fd);
  }

  // What the clients closed is closed: a worker that is told to stop before it has seen their ends
  // of input closes the connections for its own reason.
  void AwaitClosed(uint64_t count) {
    Await([&] { return counters_.connections_closed.Get() >= count; });
  }

  StreamOptions stream_;
  ServerDefinition server_;
  Lines lines_;
  WorkerCounters counters_;
  std::unique_ptr<Worker> worker_;
  std::function<void(Worker&, uint16_t port)> started_;
  std::vector<CloseReason> close_reasons_;
  uint64_t outbound_count_ = 0;
};

}  // namespace ringmaster
