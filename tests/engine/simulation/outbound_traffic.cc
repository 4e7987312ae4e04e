#include "tests/engine/simulation/outbound_traffic.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "fmt/format.h"

namespace ringmaster::simulation {

OutboundTraffic::OutboundTraffic(World& world, SimulatedEngine& engine, std::function<void()> done)
    : world_(world),
      engine_(engine),
      on_done_(std::move(done)),
      protocol_(world),
      address_(*Address::Parse("127.0.0.1:1")) {
  engine_.ring().set_connect_hook([this](const sockaddr*, socklen_t) { return Draw(); });
}

void OutboundTraffic::ScheduleAttempt(Duration spread) {
  const Duration delay(
      static_cast<int64_t>(world_.random.Below(static_cast<uint64_t>(spread.count()))));
  world_.After(delay, [this] { engine_.Post([this] { Connect(); }); });
}

void OutboundTraffic::Connect() {
  protocol_.records().push_back(std::make_unique<ConnectionRecord>());
  const auto id = engine_.worker().Connect(address_, protocol_, engine_.stream_options());
  if (id.ok()) return;
  if (!engine_.worker().stopping()) world_.Fail("an outbound connection was refused here");
  protocol_.records().pop_back();
  on_done_();
}

SimulatedRing::ConnectPlan OutboundTraffic::Draw() {
  Attempt& attempt = attempts_.emplace_back();
  ConnectionRecord& record = *protocol_.records()[attempts_.size() - 1];
  SimulatedRing::ConnectPlan plan;
  const uint64_t draw = world_.random.Below(10);
  if (draw < 4) {
    plan.result = -ECONNREFUSED;
    plan.delay = draw < 2 ? kNever : static_cast<TimePoint>(world_.random.Below(1'000'000));
    attempt.expected_reason = draw < 2 ? CloseReason::kConnectTimeout : CloseReason::kConnectFailed;
    world_.After(engine_.stream_options().timeouts.connect * 2, on_done_);
    return plan;
  }
  PeerPlan script = DrawPlan(world_.random);
  // Only accepted connections have to say something first.
  while (script.kind == PeerPlan::Kind::kSilent) script = DrawPlan(world_.random);
  attempt.expected_reason = script.expected_reason;
  record.was_held_back = script.kind == PeerPlan::Kind::kSlow;
  ++accepted_count_;
  plan.delay = static_cast<TimePoint>(world_.random.Below(10'000'000));
  plan.stream = std::make_shared<SimulatedStream>(world_, script.room);
  attempt.peer = std::make_unique<ScriptedPeer>(world_, std::move(script), plan.stream, on_done_);
  return plan;
}

void OutboundTraffic::Check(bool stopped_midway) const {
  const auto& records = protocol_.records();
  for (size_t i = 0; i < records.size(); ++i) {
    const ConnectionRecord& record = *records[i];
    const auto fail = [&](std::string_view what) {
      world_.Fail(fmt::format("outbound connection {:#x}, closed for {}: {}", record.connection_id,
                              CloseReasonName(record.close_reason), what));
    };
    if (record.sessions_alive != 0) fail("a session was never destroyed");
    if (record.closed_count != 1) fail("OnClosed was not called exactly once");
    if (stopped_midway || record.refused_output) continue;
    // Whoever holds the most goes first, whichever side connected.
    if (record.close_reason == CloseReason::kMemory) continue;
    const CloseReason expected = attempts_[i].expected_reason;
    if (expected != CloseReason::kNone && expected != record.close_reason) {
      fail(fmt::format("should have closed for {}", CloseReasonName(expected)));
    }
  }
}

}  // namespace ringmaster::simulation
