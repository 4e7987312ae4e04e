#pragma once

#include <vector>

#include "engine/server.h"
#include "engine/stats/counters.h"
#include "engine/stats/loop_pulse.h"

namespace ringmaster {

class SharedLimits;

// A listening socket that a worker serves, of ServerDefinition::listeners()[listener]. A listener
// may have several, one at least.
struct ListeningSocket {
  uint32_t listener = 0;
  int fd = -1;

  bool operator==(const ListeningSocket&) const = default;
};

// What the master gives a worker process.
struct WorkerEnvironment {
  uint32_t index = 0;
  uint32_t generation = 1;
  // In front of the ids of the connections that it takes in; no other process has it.
  uint16_t connection_prefix = 0;
  bool admin = false;    // the admin process
  bool standby = false;  // accepts nothing before ControlMessage::kServe
  int control_fd = -1;   // see process/control_message.h
  int report_fd = -1;    // a memfd for ControlMessage::kList; see connection_report.h
  int inbox_fd = -1;     // descriptors from the master; see process/control_message.h
  int door_fd = -1;      // for when the master is gone; see process/orphan_hello.h
  std::vector<ListeningSocket> listening_sockets;
  WorkerCounters* counters = nullptr;  // in shared memory
  SharedLimits* limits = nullptr;      // of all workers; nullptr: the worker makes its own
  LoopPulse* pulse = nullptr;          // in shared memory; nullptr = nobody looks
  int cpu = -1;                        // pin to this CPU; -1 = not pinned
};

// Serves until told to stop. Returns the exit status of the process: 0 after a graceful stop.
int RunWorker(ServerDefinition& server, const WorkerEnvironment& environment);

}  // namespace ringmaster
