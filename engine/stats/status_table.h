#pragma once

#include <string>

#include "engine/base/time.h"
#include "engine/stats/shared_block.h"
#include "engine/stats/status_snapshot.h"

namespace ringmaster {

// The figures for people: a row per process and one for all workers, then why connections were
// refused and closed, as far as any were.
std::string StatusTable(const StatusSnapshot& status);
std::string StatusTable(const SharedBlock& block, TimePoint now);
// One line about a run that is over.
std::string StatusSummary(const SharedBlock& block, TimePoint now);

}  // namespace ringmaster
