#pragma once

#include <sys/types.h>

#include <string>

#include "engine/base/time.h"
#include "engine/stats/shared_block.h"

namespace ringmaster::web {

// The answer to a health check: one line that says it all, and one for each thing that is wrong.
struct Health {
  bool ok = false;
  std::string text;
};

// Whether the server serves at all: its master lives and at least one worker is ready and not held
// by a handler for longer than handler_timeout. `parent` is the parent of this process (getppid):
// another one than the master means that it is gone. `now` is of CLOCK_MONOTONIC.
Health Liveness(const SharedBlock& block, pid_t parent, TimePoint now);

// Whether a load balancer should send it more: it lives, every worker is ready and moves, it is not
// stopping.
Health Readiness(const SharedBlock& block, pid_t parent, TimePoint now);

}  // namespace ringmaster::web
