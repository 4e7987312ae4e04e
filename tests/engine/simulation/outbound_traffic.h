#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "tests/engine/simulation/echo_protocol.h"
#include "tests/engine/simulation/scripted_peer.h"
#include "tests/engine/simulation/simulated_engine.h"
#include "tests/engine/simulation/world.h"

namespace ringmaster::simulation {

// Connections that the worker makes itself: accepted, refused, or never answered. Who accepts one
// plays the same kind of script as a peer that connects.
class OutboundTraffic {
 public:
  // `done` is called once per attempt, when its peer has left or it has failed.
  OutboundTraffic(World& world, SimulatedEngine& engine, std::function<void()> done);

  // Somewhen in the next `spread`.
  void ScheduleAttempt(Duration spread);

  uint64_t opened_count() const { return protocol_.records().size(); }
  uint64_t accepted_count() const { return accepted_count_; }
  // Fails the simulation unless every attempt ended as it was drawn to.
  void Check(bool stopped_midway) const;

 private:
  struct Attempt {
    CloseReason expected_reason = CloseReason::kNone;
    std::unique_ptr<ScriptedPeer> peer;  // nullptr: not accepted
  };

  void Connect();
  SimulatedRing::ConnectPlan Draw();

  World& world_;
  SimulatedEngine& engine_;
  std::function<void()> on_done_;
  EchoProtocol protocol_;
  const Address address_;
  // attempts_[i] and protocol_.records()[i] are the two ends; both come in the order of the
  // connects.
  std::vector<Attempt> attempts_;
  uint64_t accepted_count_ = 0;
};

}  // namespace ringmaster::simulation
