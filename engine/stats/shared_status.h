#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/time.h"
#include "engine/stats/shared_block.h"

namespace ringmaster {

// The figures of the whole server as text, from the shared memory alone: it costs no worker a turn.
// Memory is read from /proc and left out (0) where that is not readable.
std::string StatusJson(const SharedBlock& block, TimePoint now);
std::string StatusTable(const SharedBlock& block, TimePoint now);
// One line about a run that is over.
std::string StatusSummary(const SharedBlock& block, TimePoint now);

TimePoint MonotonicNow();

// The shared memory of this process's server: set by Main in the master and in every worker, so
// that a handler can show the server's figures too.
//
//   if (const SharedBlock* block = SharedStatus::Get()) body = StatusJson(*block, MonotonicNow());
class SharedStatus {
 public:
  // nullptr outside a server started by Main (a unit test, for one).
  static SharedBlock* Get();
  static void Set(std::unique_ptr<SharedBlock> block);
};

}  // namespace ringmaster
