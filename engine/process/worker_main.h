#pragma once

#include "engine/process/worker_inheritance.h"
#include "engine/server.h"

namespace ringmaster {

// 1,024: more workers than CPUs gain nothing, and a mistyped number should not fork a bomb.
inline constexpr uint32_t kWorkersMax = 1024;

// The life of a worker process: takes what the master handed on, then RunWorker. Returns the exit
// status; whatever fails before is said on stderr.
int WorkerMain(ServerDefinition& server, const WorkerInheritance& role);

}  // namespace ringmaster
