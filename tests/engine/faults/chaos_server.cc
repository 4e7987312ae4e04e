#include "tests/engine/faults/chaos_server.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <utility>

#include "engine/base/check.h"
#include "engine/ring/kernel_ring.h"
#include "tests/engine/faults/memory_faults.h"
#include "tests/engine/faults/sockets.h"

namespace ringmaster::faults {

using namespace std::chrono_literals;

ChaosServer::ChaosServer(const Options& options) : options_(options) {
  // Short, so that what is left over when the faults stop is soon gone.
  Timeouts& timeouts = stream_.timeouts;
  timeouts.connect = 1s;
  timeouts.handshake = timeouts.header = timeouts.body = timeouts.message = 4s;
  timeouts.read = 5s;
  timeouts.write = 4s;
  timeouts.close = 1s;
  stream_.send_queue_bytes_high = 64 << 10;
  stream_.send_queue_bytes_low = 16 << 10;
  DefineRoutes();
  server_.options.lease_bytes_min = 1024;
  server_.Listen("127.0.0.1:0", stream_);
  server_.Listen("127.0.0.1:0", lines_, stream_);
  CHECK(server_.Validate().ok());
  listening_fds_[0] = ListenOnLoopback(ports_.web);
  listening_fds_[1] = ListenOnLoopback(ports_.lines);
  close(ListenOnLoopback(dead_port_));

  std::promise<void> ready;
  thread_ = std::thread([&] { RunWorker([&] { ready.set_value(); }); });
  ready.get_future().wait();
}

ChaosServer::~ChaosServer() {
  worker_->Post([this] { worker_->Stop(); });
  thread_.join();
  for (const int fd : listening_fds_) close(fd);
  unlink(file_path_.c_str());
}

void ChaosServer::DefineRoutes() {
  large_ = std::make_shared<const std::string>(std::string(300'000, 'L') + std::string(kLargeEnd));
  char path[] = "/tmp/ringmaster-chaos-XXXXXX";
  const int file = mkstemp(path);
  file_path_ = path;
  const std::string content = std::string(200'000, 'F') + std::string(kFileEnd);
  file_bytes_ = content.size();
  CHECK(write(file, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  close(file);

  server_.Get("/hello", [](auto&, auto& response) { response.Text(kHelloBody); });
  server_.Get("/large", [this](auto&, auto& response) {
    response.SharedBody("text/plain", *large_, large_);
  });
  server_.Get("/file", [this](auto&, auto& response) {
    response.FileBody("text/plain", open(file_path_.c_str(), O_RDONLY | O_CLOEXEC), 0, file_bytes_);
  });
  server_.Get("/later", [this](auto&, auto& response) {
    worker_->AddTimer(3ms, {}, [pending = response.Defer()]() mutable {
      pending.With([](http::Response& later) { later.Text(kLaterBody); });
    });
  });
  server_.Get("/throw", [](auto&, auto&) { throw std::runtime_error("as asked"); });
  server_.Post("/echo",
               [](auto& request, auto& response) { response.Body("text/plain", request.body()); });
  auto& socket = server_.WebSocket<>("/ws");
  socket.missing_origin = websocket::MissingOrigin::kAllow;
  socket.on_message = [](auto& peer, const Message& message) { peer.Send(message); };
  lines_.on_message = [](Lines::Peer& peer, std::string_view line) { peer.Send(line); };
  outbound_lines_.on_open = [](Lines::Peer& peer) { peer.Send(std::string(3'000, 'o')); };
  outbound_lines_.on_message = [](Lines::Peer& peer, std::string_view) { peer.Close(); };
}

void ChaosServer::RunWorker(const std::function<void()>& ready) {
  // Small, so that everything in it runs short.
  RingOptions ring_options;
  ring_options.sq_entries = 32;
  ring_options.cq_entries = 64;
  ring_options.buffer_count = 16;
  ring_options.buffer_bytes = 4096;
  auto kernel = KernelRing::Create(ring_options);
  CHECK(kernel.ok());
  auto ring = std::make_unique<FaultRing>(*std::move(kernel), options_.seed);
  ring_ = ring.get();
  WorkerEnvironment environment;
  environment.listening_sockets = {{0, listening_fds_[0]}, {1, listening_fds_[1]}};
  environment.counters = counters_.get();
  Worker worker(server_, environment, std::move(ring));
  worker_ = &worker;
  worker.Start();
  worker.AddTimer(15ms, 15ms, [this] { MakeOutbound(); });
  ready();
  while (worker.Turn()) {
  }
}

void ChaosServer::MakeOutbound() {
  if (!outbound_wanted_) return;
  const uint16_t port = outbound_count_ % 4 == 0 ? dead_port_ : ports_.lines;
  const auto address = Address::Parse("127.0.0.1:" + std::to_string(port));
  outbound_count_ += worker_->Connect(*address, outbound_lines_, stream_).ok();
}

void ChaosServer::SetFaults(bool on) {
  InWorker([&](Worker&, FaultRing& ring) {
    allocations_failed_ += MemoryFaults::failed_count();
    MemoryFaults::Stop();
    ring.set_rates(on ? FaultRates::Some() : FaultRates::None());
    outbound_wanted_ = on;
    if (on && options_.no_memory_chance > 0) {
      MemoryFaults::FailWithChance(options_.no_memory_chance, options_.seed);
    }
  });
}

bool ChaosServer::AwaitNothingOpen() {
  const auto patience = std::chrono::steady_clock::now() + 60s;
  while (counters_->connections_open.Get() > 0) {
    if (std::chrono::steady_clock::now() > patience) return false;
    InWorker([](Worker&, FaultRing&) {});
    std::this_thread::yield();
  }
  return true;
}

void ChaosServer::InWorker(const std::function<void(Worker&, FaultRing&)>& task) {
  std::promise<void> done;
  worker_->Post([&] {
    task(*worker_, *ring_);
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace ringmaster::faults
