#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/engine/simulation/echo_protocol.h"
#include "tests/engine/simulation/moves.h"
#include "tests/engine/simulation/outbound_traffic.h"
#include "tests/engine/simulation/scripted_peer.h"
#include "tests/engine/simulation/simulated_engine.h"
#include "tests/engine/simulation/world.h"

namespace ringmaster::simulation {

// What an episode brought about, for the summary: a simulation that no longer reaches a state is
// noticed.
struct Tally {
  uint64_t connections = 0;
  uint64_t episodes = 0;
  uint64_t stopped_midway = 0;
  uint64_t stopped_by_force = 0;  // connections that ignored the stop until stop_timeout
  uint64_t turns = 0;
  uint64_t complete = 0;
  uint64_t by_reason[kCloseReasonCount] = {};
  uint64_t accept_paused = 0;
  uint64_t accept_held = 0;
  uint64_t refused = 0;
  uint64_t refusals_seen = 0;
  uint64_t receive_starved = 0;
  uint64_t turns_crowded = 0;
  uint64_t receive_paused = 0;
  uint64_t send_stuck = 0;
  uint64_t send_no_memory = 0;
  uint64_t deadline_rearmed = 0;
  uint64_t paused_for_memory = 0;
  uint64_t timeouts_set = 0;
  uint64_t moved = 0;
  uint64_t moves_called_off = 0;
};

// One worker's life under one seed: peers connect, do what they were drawn to do, the worker stops.
// Fails the simulation (World::Fail) at the first broken promise.
class Episode {
 public:
  Episode(uint64_t seed, uint32_t connection_count);
  void Run(Tally& tally);

 private:
  SimulatedEngine::Options DrawOptions();
  void ScheduleArrivals(uint32_t connection_count);
  void Connect();
  void Kill(ConnectionRecord& record);
  void Stop();
  void OnPeerDone();
  void CheckTurn();
  void CheckConnection(const ScriptedPeer& peer, const ConnectionRecord& record);
  void CheckCounters();
  uint64_t RefusedCount() const;

  World world_;
  EchoProtocol protocol_;
  size_t receive_slack_bytes_ = 0;
  size_t memory_hard_ = 0;
  SimulatedEngine engine_;
  Moves moves_;
  OutboundTraffic outbound_;
  uint32_t outbound_busy_ = 0;
  std::vector<std::unique_ptr<ScriptedPeer>> peers_;
  // peers_[i] and protocol_.records()[i] are the two ends of one connection.
  uint32_t peers_to_come_;
  uint32_t peers_busy_ = 0;
  uint64_t turns_ = 0;
  // Peers that are patient and never got a session: refused, or the door broke its promise.
  uint64_t never_served_ = 0;
  bool stops_midway_ = false;
  bool stop_posted_ = false;
};

}  // namespace ringmaster::simulation
