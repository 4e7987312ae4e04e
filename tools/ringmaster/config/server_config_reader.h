#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/config/config_document.h"
#include "tools/ringmaster/config/server_config.h"

namespace ringmaster::config {

struct ReadOptions {
  // Relative directories of routes are below this one.
  std::string base_directory = ".";
  // Whether directories, users and groups must exist on this machine.
  bool check_machine = true;
  // Says what is wrong with an entry of allowed_origins; unset = websocket::OriginPolicy decides.
  std::function<absl::Status(const std::string& entry)> check_origin;
};

// Reads and checks `path`; relative directories are below the file's own.
// Errors: those of ReadConfigFile; kInvalidArgument with one line per mistake:
//   server.json:14: listeners[0].timeouts.read: expected a duration such as "75s", got 75; write
//   ...
absl::StatusOr<ServerConfig> LoadServerConfig(const std::string& path, ReadOptions options = {});

// The same for a text; `file_name` stands in messages only.
absl::StatusOr<ServerConfig> ParseServerConfig(std::string_view text, std::string_view file_name,
                                               const ReadOptions& options = {});

// Reads `document`; errors go there, and what was wrong keeps its default.
ServerConfig ReadServerConfig(ConfigDocument& document, const ReadOptions& options);

}  // namespace ringmaster::config
