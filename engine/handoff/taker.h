#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/base/unique_fd.h"

namespace ringmaster {

class Connection;
class Worker;
struct ReceivedDescriptors;

// The new worker's side of a hand-off (batch.h): makes connections of what comes, answers which of
// them it has taken, and only then lets them go on.
class HandoffTaker {
 public:
  HandoffTaker(Worker& worker, UniqueFd channel, uint32_t number);
  HandoffTaker(const HandoffTaker&) = delete;
  HandoffTaker& operator=(const HandoffTaker&) = delete;

  uint32_t number() const { return number_; }
  // A batch is there, or the giver is gone. False: it is over.
  bool OnReadable();

  // One connection from its state; nullptr, and `fd` stays the caller's, when it cannot be made.
  // It stands still until Connection::Arrive. Public for tests.
  static Connection* Adopt(Worker& worker, int fd, std::string_view state);

 private:
  bool TakeBatch(ReceivedDescriptors batch);
  static void Drop(Worker& worker, Connection& connection);

  Worker& worker_;
  UniqueFd channel_;
  const uint32_t number_;
};

}  // namespace ringmaster
