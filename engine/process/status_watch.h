#pragma once

#include <string>

#include "absl/status/status.h"
#include "engine/base/time.h"

namespace ringmaster {

// `status --watch`: asks the master for its figures every `interval` and shows what has happened in
// between, until q, Ctrl-C or SIGTERM. With `json` it prints a line per interval instead
// (WatchJson) and needs no terminal.
//
// Errors: kFailedPrecondition where there is no terminal; those of AskMaster when the server ends.
absl::Status WatchStatus(const std::string& control_socket, Duration interval, bool json);

}  // namespace ringmaster
