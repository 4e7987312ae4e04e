#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/memory/slab.h"
#include "tests/engine/simulation/echo_protocol.h"
#include "tests/engine/simulation/simulated_engine.h"
#include "tests/engine/simulation/world.h"

namespace ringmaster {

// Plays giver and taker of a hand-off (engine/handoff) in one worker: a connection stands still, is
// saved, forgotten and adopted again with the socket that it had. At the end of a turn, as the
// giver does it.
class HandoffTestPeer {
 public:
  enum class Step : uint8_t {
    kGone,      // it has ended, or is about to
    kNotYet,    // something is in flight
    kStanding,  // what comes next is Move or StayHere
    kStayed,    // it began something that does not move, and goes on
    kMoved,
    kRefused,  // Move: the taker could not make it of what was saved
    kUnequal,  // Move: saved twice, it was not the same
  };

  // False: it cannot move now.
  static bool Begin(Connection& connection, SlabPlace& ref);
  static Step Look(Worker& worker, const SlabPlace& ref);
  static Step Move(Worker& worker, const SlabPlace& ref);
  static void StayHere(Worker& worker, const SlabPlace& ref);

  // What Move would write of one that stands; false: it goes on here.
  static bool Save(Worker& worker, const SlabPlace& ref, std::string& state);
  // Of another process's state, with a socket of the test; nullptr, and `fd` stays the caller's,
  // when it makes no sense.
  static Connection* Adopt(Worker& worker, int fd, std::string_view state);
};

}  // namespace ringmaster

namespace ringmaster::simulation {

// Connections that move at random moments, some of which do not go in the end.
class Moves {
 public:
  Moves(World& world, SimulatedEngine& engine, EchoProtocol& protocol);

  // At the start of every turn.
  void OnTurn();
  // No more of them; those under way end.
  void Stop() { rate_ = 0; }

  uint64_t moved_count() const { return moved_count_; }
  uint64_t called_off_count() const { return called_off_count_; }

 private:
  bool Advance(const SlabPlace& ref);

  World& world_;
  SimulatedEngine& engine_;
  EchoProtocol& protocol_;
  double rate_ = 0;  // beginnings per turn
  double called_off_rate_ = 0;
  std::vector<SlabPlace> moving_;
  uint64_t moved_count_ = 0;
  uint64_t called_off_count_ = 0;
};

}  // namespace ringmaster::simulation
