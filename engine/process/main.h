#pragma once

#include "engine/process/program_info.h"
#include "engine/server.h"

namespace ringmaster {

// Runs `server`, or controls the one that runs: the user's program is its own control tool.
//
//     PROGRAM start [-d]         run in the foreground, or as a daemon
//     PROGRAM stop               stop it gracefully and wait until it is gone
//     PROGRAM status [--json]    what it does now
//     PROGRAM connections, kill  which connections there are; close one
//     PROGRAM check              is the definition sound?
//     PROGRAM doctor             is the machine fit for it?
//     PROGRAM --help, --version
//
// Returns the exit status: 0 done; 1 it failed, `stop` found nothing that runs, or `doctor` found
// what keeps the server from starting; 2 wrong usage;
// 3 `status` or `connections` found nothing that runs (as init scripts say it).
//
// Workers are the same program started again: everything before Main runs in each of them too, so
// the definition must come out the same (see LoadConfigurationText).
int Main(ServerDefinition& server, int argc, char** argv, const ProgramInfo& info = {});

}  // namespace ringmaster
