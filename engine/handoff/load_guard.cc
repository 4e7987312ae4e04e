#include "engine/handoff/load_guard.h"

#include <cstdint>

#include "engine/base/log.h"
#include "engine/base/log_budget.h"
#include "engine/connection/connection.h"
#include "engine/worker/worker.h"

namespace ringmaster {

void LogLoadFailure(const Connection& connection, std::string_view what) {
  static thread_local LogBudget budget;
  uint64_t left_out = 0;
  if (!budget.Admit(connection.worker().now(), left_out)) return;
  if (left_out > 0) log::Get().error("{} more contexts that could not be loaded", left_out);
  log::Get().error("the context of a connection cannot be loaded, it stays where it was: {}", what);
}

}  // namespace ringmaster
