#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"
#include "engine/base/unique_fd.h"
#include "engine/handoff/reserve.h"
#include "engine/memory/slab.h"
#include "engine/process/control_message.h"
#include "engine/worker/timer_queue.h"

namespace ringmaster {

class Connection;
class Worker;

// The old worker's side of a hand-off (batch.h). Walks over all connections and gives away those
// that can move, some hundred at a time, so that none waits long:
//
//   kFirstPass ─▶ kClosingDoor ─▶ kLastPass ─▶ kWatching
//   while the     accepts no      those that    tells the master; who could not move before is
//   door is open  more            came since    asked again now and then
//
// Whatever ends the hand-off, connections that are not the taker's go on here.
class HandoffGiver {
 public:
  HandoffGiver(Worker& worker, UniqueFd channel, uint32_t number);
  ~HandoffGiver();
  HandoffGiver(const HandoffGiver&) = delete;
  HandoffGiver& operator=(const HandoffGiver&) = delete;

  uint32_t number() const { return number_; }
  // Connections that cannot move yet may still.
  bool gives() const { return stage_ != Stage::kEnded; }
  // At the end of a turn: goes on as far as it can.
  void OnTurn();
  // There is something to do without anything completing.
  bool Hurries() const;
  // The taker has answered, or is gone.
  void OnReadable();
  // Nothing more is given.
  void End();
  // The taker's process has ended, and the place it was to have is here again: what it had been
  // given and has not touched is this worker's again (reserve.h).
  void TakeBack();
  // The taker lives and has all that it was given.
  void ForgetGiven() { reserve_.Clear(); }

  // What the taker needs of a connection that stands still; false, and the connection is on its way
  // out, when its session throws. Public for tests.
  static bool SaveTo(Worker& worker, Connection& connection, std::string& state);

 private:
  enum class Stage : uint8_t { kFirstPass, kClosingDoor, kLastPass, kWatching, kEnded };
  // Its state is states_[begin, end).
  struct Sent {
    SlabPlace ref;
    size_t begin;
    size_t end;
  };

  Connection* Find(const SlabPlace& ref) const;
  bool DoorIsClosed() const;
  void Collect();
  bool AllStand();
  void SendBatch();
  bool IsAsSent(const Sent& sent) const;
  void Decide(std::string_view wanted);
  bool SayWhose(std::string_view yours);
  void Give(const Sent& sent, Connection& connection);
  void OnPassOver();
  void Watch();
  void Break();
  void Report(ControlMessage message);
  bool Passing() const { return passing_ && leaving_.empty() && sent_.empty(); }

  Worker& worker_;
  UniqueFd channel_;
  const uint32_t number_;
  Stage stage_ = Stage::kFirstPass;
  bool passing_ = true;
  bool reported_ = false;
  uint32_t cursor_ = 0;             // the slot to look at next
  std::vector<SlabPlace> leaving_;  // told to stand still
  std::vector<Sent> sent_;          // of the batch that is not decided yet
  std::string states_;              // of it
  uint64_t sequence_ = 0;           // of it
  HandoffReserve reserve_;
  TimePoint kept_until_ = kNever;
  uint64_t given_ = 0;
  TimerId timer_ = 0;
  TimerId answer_timer_ = 0;
};

}  // namespace ringmaster
