#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/base/unique_fd.h"
#include "engine/connection/connection.h"
#include "engine/memory/slab.h"
#include "engine/worker/timer_queue.h"

namespace ringmaster {

class Worker;
struct ReceivedDescriptors;

// The new worker's side of a hand-off (batch.h): makes connections of what comes, answers which of
// them it can take, and lets those go on of which the giver says that they are its own now. Until
// then they have their place here, and nothing else of this worker touches them.
class HandoffTaker {
 public:
  HandoffTaker(Worker& worker, UniqueFd channel, uint32_t number);
  ~HandoffTaker();
  HandoffTaker(const HandoffTaker&) = delete;
  HandoffTaker& operator=(const HandoffTaker&) = delete;

  uint32_t number() const { return number_; }
  // A batch is there, or the giver's word, or the giver is gone. False: it is over.
  bool OnReadable();
  // Lets go of what is not its own yet.
  void Abandon();
  // What is its own and still waits goes on now (batch.h).
  void BeginWaiting();

  // One connection from its state; nullptr, and `fd` stays the caller's, when it cannot be made.
  // It stands still until Connection::Arrive. Public for tests.
  static Connection* Adopt(Worker& worker, int fd, std::string_view state);
  // The same, and it goes on at once. False, and `fd` stays the caller's, when it cannot be made.
  static bool TakeAtOnce(Worker& worker, UniqueFd& fd, std::string_view state);

 private:
  // nullptr: one that could not be made. Its own state is kFree until it is this worker's.
  struct Pending {
    Connection* connection = nullptr;
    Connection::State state = Connection::State::kFree;
  };

  bool TakeBatch(ReceivedDescriptors batch);
  bool OnDecided(std::string_view message);
  void Settle(std::string_view mine);
  void GiveBack(Connection& connection);
  static void Count(Worker& worker, Connection& connection);
  static void Drop(Worker& worker, Connection& connection);

  Worker& worker_;
  UniqueFd channel_;
  const uint32_t number_;
  uint64_t sequence_ = 0;           // of the batch that is not decided yet
  bool more_ = false;               // there is another one behind it
  std::vector<Pending> pending_;    // its connections
  std::vector<SlabPlace> waiting_;  // its own, not begun
  TimerId timer_ = 0;
};

}  // namespace ringmaster
