#pragma once

#include "engine/doctor/finding.h"
#include "engine/doctor/machine_files.h"
#include "engine/doctor/server_plan.h"

namespace ringmaster::doctor {

// One group of findings each, in a file of its own: functions of what stands in /proc and /sys and
// of what the server asks for, nothing else. What cannot be read yields no finding.

// Version and features; whether io_uring may be used, and by whom.
void ExamineKernel(const MachineFiles& machine, const RingProbe& probe, Findings& findings);
// RLIMIT_NOFILE, RLIMIT_MEMLOCK, fs.nr_open, fs.file-max.
void ExamineLimits(const MachineFiles& machine, const ServerPlan& plan, Findings& findings);
// net.*: queues of new connections, ports, buffers, connection tracking.
void ExamineNetworkSysctls(const MachineFiles& machine, const ServerPlan& plan, Findings& findings);
// Queues of the network cards and where their interrupts go.
void ExamineNetworkQueues(const MachineFiles& machine, const ServerPlan& plan, Findings& findings);
// Frequency, clock, huge pages, NUMA.
void ExamineProcessors(const MachineFiles& machine, const ServerPlan& plan, Findings& findings);
// cpu.max, memory.max, pids.max of the control group and of those above it.
void ExamineControlGroup(const MachineFiles& machine, const ServerPlan& plan, Findings& findings);
// User, container, system call filter, directories.
void ExamineSurroundings(const MachineFiles& machine, const ServerPlan& plan, Findings& findings);

}  // namespace ringmaster::doctor
