#pragma once

#include "engine/doctor/finding.h"
#include "engine/doctor/machine_files.h"
#include "engine/doctor/server_plan.h"
#include "engine/process/runtime_paths.h"
#include "engine/server.h"

namespace ringmaster::doctor {

// What `server` asks of the machine, with the number of workers that it would have here.
ServerPlan PlanOf(const ServerDefinition& server, const RuntimePaths& paths);

// Sets up a ring as a worker would, and lets go of it.
RingProbe TryRing(const RingOptions& options);

// Every group's findings.
Findings Examine(const MachineFiles& machine, const ServerPlan& plan, const RingProbe& probe);

// The command `doctor`: examines this machine and prints what was found. Changes nothing. Returns
// the exit status.
int DoctorCommand(const ServerDefinition& server, const RuntimePaths& paths, bool json);

}  // namespace ringmaster::doctor
