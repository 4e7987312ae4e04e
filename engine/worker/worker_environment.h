#pragma once

#include <vector>

#include "engine/server.h"
#include "engine/stats/counters.h"
#include "engine/stats/loop_pulse.h"

namespace ringmaster {

class SharedLimits;

// What the master gives a worker process.
struct WorkerEnvironment {
  uint32_t index = 0;
  int control_fd = -1;                 // see process/control_message.h
  int report_fd = -1;                  // a memfd for ControlMessage::kList; see connection_report.h
  std::vector<int> listening_fds;      // one per ServerDefinition::listeners(), same order
  WorkerCounters* counters = nullptr;  // in shared memory
  SharedLimits* limits = nullptr;      // of all workers; nullptr: the worker makes its own
  LoopPulse* pulse = nullptr;          // in shared memory; nullptr = nobody looks
  int cpu = -1;                        // pin to this CPU; -1 = not pinned
};

// Serves until told to stop. Returns the exit status of the process: 0 after a graceful stop.
int RunWorker(ServerDefinition& server, const WorkerEnvironment& environment);

}  // namespace ringmaster
