#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace ringmaster::config {

// The content of a configuration file: a regular file of at most kJsonBytesMax.
// Errors (each "server.json: what and remedy"): kNotFound, kPermissionDenied, kInvalidArgument (a
// directory, a device, too large), kUnavailable (reading failed).
absl::StatusOr<std::string> ReadConfigFile(const std::string& path);

}  // namespace ringmaster::config
