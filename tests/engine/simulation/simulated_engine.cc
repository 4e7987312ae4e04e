#include "tests/engine/simulation/simulated_engine.h"

#include <utility>

#include "engine/stats/counters.h"
#include "fmt/format.h"

namespace ringmaster::simulation {

SimulatedEngine::SimulatedEngine(World& world, Protocol& protocol, const Options& options)
    : world_(world),
      counters_storage_(std::make_unique<WorkerCounters>()),
      counters_(*counters_storage_) {
  server_.options.worker_connections_max = options.connections_max;
  server_.options.connections_max = options.server_connections_max;
  server_.options.address = options.address;
  server_.options.stop_timeout = options.stop_timeout;
  server_.options.buffered_bytes_soft = options.buffered_bytes_soft;
  server_.options.buffered_bytes_hard = options.buffered_bytes_hard;
  // Low enough that most echoes of a simulation leave from where they were received.
  server_.options.lease_bytes_min = 16;
  ListenerDefinition definition;
  definition.address = *Address::Parse("127.0.0.1:0");
  definition.protocol = &protocol;
  definition.stream = options.stream;
  definition.connections_max = options.listener_connections_max;
  definition.at_limit = options.at_limit;
  server_.Listen(std::move(definition));

  auto ring = std::make_unique<SimulatedRing>(world, options.ring);
  ring_ = ring.get();
  listener_ = ring->AddListener(options.backlog);
  WorkerEnvironment environment;
  environment.listening_sockets = {{0, listener_}};
  environment.counters = &counters_;
  if (SharedLimits::NeededBy(server_)) limits_ = *SharedLimits::Create(server_, 1);
  environment.limits = limits_.get();
  worker_ = std::make_unique<Worker>(server_, environment, std::move(ring));
  worker_->Start();
}

void SimulatedEngine::RunFor(Duration duration) {
  const TimePoint end = world_.now() + duration.count();
  // The engine may have nothing to wait for: something has to wake it at the end.
  world_.At(end, [this] { Post([] {}); });
  while (!stopped_ && world_.now() <= end) stopped_ = !worker_->Turn();
}

void SimulatedEngine::RunUntilStopped(uint64_t turns_max) {
  for (uint64_t turns = 0; !stopped_; ++turns) {
    if (turns == turns_max) world_.Fail("the worker turns and turns and never stops");
    stopped_ = !worker_->Turn();
  }
}

void SimulatedEngine::ExpectNothingLeft() {
  if (!stopped_) {
    PostStop();
    RunUntilStopped(1'000'000);
  }
  std::string problems = ring_->Leftovers();
  const auto expect = [&](uint64_t value, uint64_t wanted, std::string_view what) {
    if (value != wanted) problems += fmt::format("{} is {}, not {}\n", what, value, wanted);
  };
  expect(ring_->sockets_open(), 0, "number of open sockets");
  expect(worker_->connection_count(), 0, "number of connections");
  expect(counters_.connections_open.Get(), 0, "connections_open");
  expect(worker_->buffered_bytes(), 0, "number of buffered bytes");
  expect(counters_.buffered_input_bytes.Get(), 0, "buffered_input_bytes");
  expect(counters_.buffered_output_bytes.Get(), 0, "buffered_output_bytes");
  if (limits_ != nullptr) {
    expect(limits_->count(SharedLimits::kServerGate), 0, "connections at the server's gate");
    expect(limits_->count(SharedLimits::ListenerGate(0)), 0, "connections at the listener's gate");
    Counter full;
    if (const auto addresses = limits_->Addresses(0, full)) {
      expect(addresses->TotalForTest(), 0, "connections counted by address");
    }
  }
  uint64_t closed = 0;
  for (const Counter& counter : counters_.closed_by_reason) closed += counter.Get();
  expect(closed, counters_.connections_closed.Get(), "sum of closed_by_reason");
  expect(counters_.closed_by_reason[static_cast<int>(CloseReason::kNone)].Get(), 0,
         "connections closed for no reason");
  if (!problems.empty()) world_.Fail("at the end:\n" + problems);
}

}  // namespace ringmaster::simulation
