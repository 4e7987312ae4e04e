#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "engine/server.h"

namespace ringmaster {

// The files by which one running server is found: `start` makes them, `stop` and `status` look
// there.
//
//     options.pid_file and options.control_socket, where given; else, for the server's name,
//     $XDG_RUNTIME_DIR/ringmaster/NAME.pid and NAME.sock, else
//     /run/ringmaster/...          for root, else
//     /tmp/ringmaster-UID/...
//
// With only `pid_file` given, the control socket stands beside it: ".sock" instead of ".pid".
struct RuntimePaths {
  std::string pid_file;
  std::string control_socket;
  // Of the admin listener "auto": beside the control socket, ".admin.sock" instead of ".sock".
  std::string admin_socket;
  // Behind which workers wait whose master is gone (orphans.h): ".orphans" instead of ".sock".
  std::string orphan_door;
  // The default directory, to be made by `start`; empty when both files were given.
  std::string directory;
};

// Errors: kInvalidArgument for a name that is no file name or a path too long for a socket.
absl::StatusOr<RuntimePaths> FindRuntimePaths(const ServerOptions& options);

// Makes the default directory, mode 0700. Errors: kPermissionDenied when it belongs to somebody
// else or others may write there: in /tmp anybody could have made it first and wait for our files.
absl::Status PrepareRuntimeDirectory(const RuntimePaths& paths);

}  // namespace ringmaster
