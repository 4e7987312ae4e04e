#pragma once

#include <string>

#include "engine/process/command_line.h"

namespace ringmaster {

// `connections` and `kill`, given the control socket of a server that runs. They print, and return
// the exit status: 0, 1 when it failed (for `kill`: when one of the ids is of no connection), 2 for
// an option or id that is none.
int ConnectionsCommand(const std::string& control_socket, const CommandLine& line);
int KillCommand(const std::string& control_socket, const CommandLine& line);

}  // namespace ringmaster
