#pragma once

#include <memory>

#include "engine/base/time.h"
#include "engine/stats/shared_block.h"
#include "engine/stats/status_json.h"
#include "engine/stats/status_table.h"

namespace ringmaster {

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
