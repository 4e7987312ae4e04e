#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tests/engine/simulation/echo_protocol.h"
#include "tests/engine/simulation/simulated_stream.h"
#include "tests/engine/simulation/world.h"

namespace ringmaster::simulation {

// What one peer is going to do, drawn before it connects.
struct PeerPlan {
  enum class Kind : uint8_t {
    kPolite,    // sends requests, reads the answers, finishes
    kSlow,      // the same, reading so slowly that the engine's queue fills
    kStalled,   // asks for much and reads nothing
    kResets,    // resets at some moment
    kVanishes,  // closes at some moment
    kSilent,    // never sends anything
    kIdle,      // sends some requests, then nothing, and stays
    kTrickles,  // a byte now and then, of a request that takes too long
  };
  Kind kind = Kind::kPolite;
  SimulatedStream::Room room;
  std::string requests;
  std::string answers;
  // The last request makes the server end the connection; after kClose and kAbort answers may be
  // lost.
  bool server_closes = false;
  bool answers_may_be_lost = false;
  bool finishes_early = false;  // FIN behind the last request, before the answers were read
  size_t piece_bytes_max = 1;
  Duration pause_max = {};  // between two pieces
  Duration leaves_after = Duration::max();
  CloseReason expected_reason = CloseReason::kNone;  // kNone: any
};

PeerPlan DrawPlan(Random& random);

// Plays a plan against the engine and checks every byte that comes back.
class ScriptedPeer {
 public:
  // `done` is called once, when this peer has left or seen the end.
  ScriptedPeer(World& world, PeerPlan plan, std::shared_ptr<SimulatedStream> stream,
               std::function<void()> done);
  ScriptedPeer(const ScriptedPeer&) = delete;
  ScriptedPeer& operator=(const ScriptedPeer&) = delete;

  const PeerPlan& plan() const { return plan_; }
  bool done() const { return done_; }
  bool saw_all_answers() const { return read_bytes_ == plan_.answers.size(); }
  bool saw_end() const { return saw_end_; }
  // The door's goodbye came instead of any answer.
  bool saw_refusal() const { return saw_refusal_; }
  const SimulatedStream& stream() const { return *stream_; }
  // A goodbye may come in place of answers: a callback of the session may throw at any time.
  void TolerateGoodbye() { goodbye_tolerated_ = true; }

 private:
  void Act();
  void Schedule(Duration delay);
  void Read();
  void Send();
  void Leave();
  void LeaveOnceClosed(int patience);
  void Finish();

  World& world_;
  const PeerPlan plan_;
  std::shared_ptr<SimulatedStream> stream_;
  std::function<void()> on_done_;
  size_t sent_bytes_ = 0;
  size_t read_bytes_ = 0;
  bool scheduled_ = false;
  bool goodbye_tolerated_ = false;
  bool done_ = false;
  bool saw_end_ = false;
  bool saw_refusal_ = false;
  TimePoint next_send_at_ = 0;
  TimePoint next_read_at_ = 0;
};

}  // namespace ringmaster::simulation
