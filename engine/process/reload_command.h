#pragma once

#include <string>

namespace ringmaster {

// The `reload` command. Asks the master of the control socket to begin, and, if it shall `wait`,
// shows what happens until the new generation serves. Returns the exit status: 1 when the reload is
// refused or abandoned, with the reason on stderr.
int ReloadCommand(const std::string& control_socket, bool wait);

// The `upgrade` command: the program that stands in the file system now takes the master's place,
// then a reload follows, shown as `reload` shows it. 1 when the new program cannot; then everything
// is as it was.
int UpgradeCommand(const std::string& control_socket, bool wait);

}  // namespace ringmaster
