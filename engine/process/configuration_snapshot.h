#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"

namespace ringmaster {

// The text of the configuration file. In the master: the file's text, remembered, so that Main
// hands it on to every worker. In a worker: what the master handed on, whatever the file says by
// now; a worker restarted next month serves what was validated at the start. Call it before Main,
// once.
//
// Errors: kNotFound, kPermissionDenied, kInvalidArgument (a directory, or above 16 MiB).
absl::StatusOr<std::string> LoadConfigurationText(const std::string& path);

// What it read from a file in this process; nullopt: nothing.
const std::optional<std::string>& LoadedConfigurationText();

// A sealed memfd with `text`; invalid without one.
absl::StatusOr<UniqueFd> MakeConfigurationSnapshot(const std::optional<std::string>& text);

}  // namespace ringmaster
