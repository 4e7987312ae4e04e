#include "tests/engine/simulation/episode.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

namespace ringmaster::simulation {

namespace {
constexpr uint64_t kTurnsPerConnectionMax = 100'000;
// By how much a worker may exceed its hard limit at the end of a turn: the largest message of a
// plan and the blocks that it needs, or a piece of a file, with the queue in front of it.
constexpr size_t kMemoryOvershootMax = 192 * 1024;
}  // namespace

Episode::Episode(uint64_t seed, uint32_t connection_count)
    : world_(seed, Faults::Some()),
      protocol_(world_),
      engine_(world_, protocol_, DrawOptions()),
      moves_(world_, engine_, protocol_),
      outbound_(world_, engine_,
                [this] {
                  --outbound_busy_;
                  OnPeerDone();
                }),
      peers_to_come_(connection_count) {
  engine_.ring().set_turn_hook([this] { CheckTurn(); });
  ScheduleArrivals(connection_count);
  stops_midway_ = world_.random.Chance(0.2);
  if (stops_midway_) {
    world_.After(std::chrono::microseconds(world_.random.Below(connection_count * 1000)),
                 [this] { Stop(); });
  }
}

SimulatedEngine::Options Episode::DrawOptions() {
  Random& random = world_.random;
  // Some episodes are calm, some have one kind of trouble drawn much more often.
  if (random.Chance(0.1)) world_.faults = Faults::None();
  if (random.Chance(0.1)) {
    // Often, but shorter: a message must be able to arrive within its timeout.
    world_.faults.late = 0.5;
    world_.faults.late_max = std::chrono::microseconds(500);
  }
  if (random.Chance(0.1)) world_.faults.receive_starved = 0.3;
  if (random.Chance(0.1)) {
    // Deadlines wait like everything else.
    world_.faults.slow_handler = 0.3;
    protocol_.set_tolerance(std::chrono::milliseconds(100));
  }
  if (random.Chance(0.1)) world_.faults.send_short = 0.5;
  if (random.Chance(0.1)) world_.faults.send_no_memory = 0.2;
  if (random.Chance(0.1)) world_.faults.update_already = 0.5;
  if (random.Chance(0.1)) world_.faults.cancel_already = 0.7;

  SimulatedEngine::Options options;
  options.ring.buffer_count = static_cast<uint32_t>(random.Between(2, 16));
  options.ring.buffer_bytes = static_cast<uint32_t>(random.Between(8, 128) * 8);
  if (random.Chance(0.2)) options.ring.descriptors_max = random.Between(5, 30);
  if (random.Chance(0.2)) options.connections_max = static_cast<uint32_t>(random.Between(3, 30));
  if (random.Chance(0.15)) {
    options.server_connections_max = static_cast<uint32_t>(random.Between(3, 30));
  }
  if (random.Chance(0.15)) {
    options.listener_connections_max = static_cast<uint32_t>(random.Between(3, 30));
  }
  if (random.Chance(0.3)) options.at_limit = AtLimit::kRefuse;
  options.address.ipv4_prefix_bits = 16;  // the group, see EchoProtocol::AddressOf
  options.address.table_entries = 1024;
  if (random.Chance(0.15)) {
    options.address.connections_max = static_cast<uint32_t>(random.Between(1, 10));
  }
  if (random.Chance(0.1)) options.address.accept_rate = {.per_second = 50, .burst = 5};
  // Shorter than the timeouts of connections, now and then: StopNow finds them in every state.
  options.stop_timeout = std::chrono::milliseconds(random.Chance(0.5) ? 100 : 2000);
  Timeouts& timeouts = options.stream.timeouts;
  timeouts.connect = std::chrono::milliseconds(50);
  // What has come waits for slow handlers: it needs longer then.
  const bool slow = world_.faults.slow_handler > Faults::Some().slow_handler;
  timeouts.handshake = std::chrono::milliseconds(slow ? 750 : 150);
  timeouts.message = std::chrono::milliseconds(slow ? 1000 : 200);
  timeouts.read = std::chrono::milliseconds(300);
  timeouts.write = std::chrono::milliseconds(250);
  timeouts.close = std::chrono::milliseconds(100);
  options.stream.send_queue_bytes_max = 256 * 1024;
  options.stream.send_queue_bytes_high = random.Between(1, 32) * 1024;
  options.stream.send_queue_bytes_low = options.stream.send_queue_bytes_high / 4;
  if (random.Chance(0.3)) {
    memory_hard_ = random.Between(100, 1000) * 1024;
    options.buffered_bytes_hard = memory_hard_;
    options.buffered_bytes_soft = random.Chance(0.2) ? 0 : memory_hard_ / random.Between(1, 4);
  }
  receive_slack_bytes_ = size_t{options.ring.buffer_count} * options.ring.buffer_bytes;
  return options;
}

void Episode::ScheduleArrivals(uint32_t connection_count) {
  const uint64_t spread = world_.random.Chance(0.3) ? 10 : 1000;
  if (world_.random.Chance(0.2)) outbound_busy_ = connection_count / 10;
  for (uint32_t i = 0; i < outbound_busy_; ++i) {
    outbound_.ScheduleAttempt(std::chrono::microseconds(connection_count * 1000));
  }
  for (uint32_t i = 0; i < connection_count; ++i) {
    world_.After(std::chrono::microseconds(world_.random.Below(connection_count * spread)),
                 [this] { Connect(); });
  }
}

void Episode::Connect() {
  --peers_to_come_;
  PeerPlan plan = DrawPlan(world_.random);
  auto record = std::make_unique<ConnectionRecord>();
  record->new_session_throws = world_.random.Chance(0.01);
  record->callbacks_throw = world_.random.Chance(0.03);
  record->ignores_stop = world_.random.Chance(0.1);
  // What waits for a slow reader is not idle, so the read deadline comes late.
  record->was_held_back = plan.kind == PeerPlan::Kind::kSlow;
  // Neither is who is paused because others hold too much.
  record->was_held_back |= memory_hard_ != 0;
  // The accept may complete within ConnectPeer, but its completion is read later.
  const auto group = static_cast<uint8_t>(world_.random.Below(4));
  // Before it connects: the accept takes it in at once.
  const PeerAddress address = EchoProtocol::AddressOf(protocol_.records().size(), group);
  std::shared_ptr<SimulatedStream> stream = engine_.ConnectPeer(plan.room, address);
  if (stream == nullptr) {
    if (!stop_posted_) world_.Fail("the backlog is full");
    return OnPeerDone();
  }
  if (world_.random.Chance(0.05)) {
    world_.After(std::chrono::microseconds(world_.random.Below(400'000)),
                 [this, record = record.get()] { Kill(*record); });
  }
  const bool tolerant = record->callbacks_throw;
  protocol_.records().push_back(std::move(record));
  ++peers_busy_;
  peers_.push_back(
      std::make_unique<ScriptedPeer>(world_, std::move(plan), std::move(stream), [this] {
        --peers_busy_;
        OnPeerDone();
      }));
  if (tolerant) peers_.back()->TolerateGoodbye();
}

void Episode::Kill(ConnectionRecord& record) {
  if (stop_posted_) return;
  engine_.Post([this, &record] {
    if (!record.opened || !engine_.worker().Kill(record.connection_id)) return;
    record.killed_at = engine_.worker().now();
  });
}

void Episode::OnPeerDone() {
  if (peers_to_come_ == 0 && peers_busy_ == 0 && outbound_busy_ == 0) Stop();
}

void Episode::Stop() {
  if (stop_posted_) return;
  stop_posted_ = true;
  // From here on the kernel behaves, and everything has to come to its end.
  world_.faults = Faults::None();
  if (stops_midway_ && world_.random.Chance(0.2)) {
    engine_.Post([this] { engine_.worker().StopNow(); });
  } else {
    engine_.PostStop();
  }
}

void Episode::CheckTurn() {
  ++turns_;
  moves_.OnTurn();
  if (memory_hard_ != 0 && engine_.worker().buffered_bytes() > memory_hard_ + kMemoryOvershootMax) {
    world_.Fail(fmt::format("{} bytes are held, the limit is {}", engine_.worker().buffered_bytes(),
                            memory_hard_));
  }
  if (turns_ % 8 != 0) return;
  const StreamOptions& options = engine_.stream_options();
  for (const auto& record : protocol_.records()) {
    if (!record->opened || record->closed_count > 0) continue;
    const Connection* connection = engine_.worker().Find(record->connection_id);
    if (connection == nullptr || !connection->open()) continue;
    // What was received and not consumed: an item, and what was in flight when input was held back.
    const size_t kept = connection->bytes_received() - record->consumed_bytes;
    if (kept > 61'000 + 3 * receive_slack_bytes_ + 40'000) {
      world_.Fail(fmt::format("{} bytes of input are kept for one connection", kept));
    }
    if (connection->output_bytes() > options.send_queue_bytes_max) {
      world_.Fail("the output queue exceeds its bound");
    }
  }
}

void Episode::Run(Tally& tally) {
  const uint32_t connection_count = peers_to_come_;
  engine_.RunUntilStopped(uint64_t{connection_count} * kTurnsPerConnectionMax);
  engine_.ExpectNothingLeft();
  for (size_t i = 0; i < peers_.size(); ++i) {
    CheckConnection(*peers_[i], *protocol_.records()[i]);
    tally.complete += peers_[i]->saw_all_answers();
    const ConnectionRecord& record = *protocol_.records()[i];
    tally.stopped_by_force +=
        record.ignores_stop && record.close_reason == CloseReason::kServerStopping;
    tally.refusals_seen += peers_[i]->saw_refusal();
    tally.timeouts_set += record.timeouts_set_count;
  }
  if (never_served_ > RefusedCount()) {
    world_.Fail(
        fmt::format("{} peers were never accepted, {} refused", never_served_, RefusedCount()));
  }
  outbound_.Check(stops_midway_);
  CheckCounters();

  const WorkerCounters& counters = engine_.counters();
  ++tally.episodes;
  tally.connections += counters.connections_accepted.Get();
  tally.stopped_midway += stops_midway_;
  tally.turns += turns_;
  for (int i = 0; i < kCloseReasonCount; ++i) {
    tally.by_reason[i] += counters.closed_by_reason[i].Get();
  }
  tally.accept_paused += counters.accept_paused_descriptors.Get();
  tally.accept_held += counters.accept_held_limit.Get();
  tally.refused += RefusedCount();
  tally.receive_starved += counters.receive_starved.Get();
  tally.receive_paused += counters.receive_paused.Get();
  tally.send_stuck += counters.send_stuck.Get();
  tally.send_no_memory += counters.send_no_memory.Get();
  tally.deadline_rearmed += counters.deadline_rearmed.Get();
  tally.turns_crowded += counters.turns_crowded.Get();
  tally.paused_for_memory += counters.receive_paused_memory.Get();
  tally.moved += moves_.moved_count();
  tally.moves_called_off += moves_.called_off_count();
}

void Episode::CheckConnection(const ScriptedPeer& peer, const ConnectionRecord& record) {
  const auto fail = [&](std::string_view what) {
    world_.Fail(fmt::format("connection {:#x}, peer of kind {}, closed for {}: {}",
                            record.connection_id, static_cast<int>(peer.plan().kind),
                            CloseReasonName(record.close_reason), what));
  };
  if (!record.opened) {
    // Who leaves by itself may be gone before the door opens.
    const bool patient = peer.plan().leaves_after == Duration::max();
    if (!stops_midway_ && patient) ++never_served_;
    return;
  }
  if (peer.saw_refusal()) fail("was refused and served");
  if (record.sessions_alive != 0) fail("a session was never destroyed");
  if (record.new_session_throws) return;
  if (record.closed_count != 1) fail("OnClosed was not called exactly once");
  if (peer.stream().closed_at() > record.closed_at + protocol_.tolerance().count()) {
    fail(fmt::format("its socket was closed only {} ns later",
                     peer.stream().closed_at() - record.closed_at));
  }
  if (record.killed_at != kNever) {
    const Duration patience = engine_.stream_options().timeouts.close + protocol_.tolerance();
    if (record.closed_at > record.killed_at + patience.count()) {
      fail(fmt::format("was killed {} ns before", record.closed_at - record.killed_at));
    }
    return;
  }
  if (record.close_reason == CloseReason::kKilled) fail("nobody killed it");
  if (stops_midway_ || record.callback_threw || record.refused_output) return;
  if (record.close_reason == CloseReason::kMemory) {
    if (memory_hard_ == 0) fail("there is no limit");
    return;
  }
  // The time of a message runs on while nothing is received of it for want of memory.
  if (memory_hard_ != 0 && record.close_reason == CloseReason::kMessageTimeout) return;

  const PeerPlan& plan = peer.plan();
  if (plan.expected_reason != CloseReason::kNone && plan.expected_reason != record.close_reason) {
    fail(fmt::format("should have closed for {}", CloseReasonName(plan.expected_reason)));
  }
  const bool reads_all = plan.kind == PeerPlan::Kind::kPolite || plan.kind == PeerPlan::Kind::kSlow;
  if (reads_all && !plan.answers_may_be_lost) {
    if (!peer.saw_all_answers()) {
      fail(fmt::format("answers are missing; at the end of input {} bytes were unconsumed",
                       record.unconsumed_at_end));
    }
    if (!peer.saw_end()) fail("the connection was reset, not closed");
    if (!plan.server_closes && record.unconsumed_at_end != 0) fail("whole requests were left over");
  }
}

uint64_t Episode::RefusedCount() const {
  const WorkerCounters& counters = engine_.counters();
  return counters.refused_worker_max.Get() + counters.refused_listener_max.Get() +
         counters.refused_server_max.Get() + counters.refused_address_max.Get() +
         counters.refused_address_rate.Get();
}

void Episode::CheckCounters() {
  const WorkerCounters& counters = engine_.counters();
  uint64_t opened = 0;
  for (const auto& record : protocol_.records()) opened += record->opened;
  const uint64_t closed = opened + outbound_.opened_count();
  if (counters.connections_accepted.Get() != opened ||
      counters.connections_closed.Get() != closed) {
    world_.Fail(fmt::format("{} connections accepted, {} counted; {} closed, {} counted", opened,
                            counters.connections_accepted.Get(), closed,
                            counters.connections_closed.Get()));
  }
  if (!stops_midway_ && counters.connections_connected.Get() != outbound_.accepted_count()) {
    world_.Fail(fmt::format("{} outbound connections accepted, {} counted",
                            outbound_.accepted_count(), counters.connections_connected.Get()));
  }
}

}  // namespace ringmaster::simulation
