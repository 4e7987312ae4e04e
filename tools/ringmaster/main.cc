// ringmaster: the stock server. HTTP, static files and WebSocket from a JSON file, and its control.

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/config/config_document.h"
#include "engine/process/command_line.h"
#include "engine/process/configuration_snapshot.h"
#include "engine/process/main.h"
#include "protocols/web/service/admin.h"
#include "tools/ringmaster/config/server_config_reader.h"
#include "tools/ringmaster/stock_server.h"

namespace ringmaster {
namespace {

config::ReadOptions ReadOptionsFor(const std::string& path) {
  config::ReadOptions options;
  options.base_directory = std::filesystem::path(path).parent_path().string();
  if (options.base_directory.empty()) options.base_directory = ".";
  return options;
}

absl::StatusOr<config::ServerConfig> Load(const std::string& path, bool check_machine) {
  const absl::StatusOr<std::string> text = LoadConfigurationText(path);
  if (!text.ok()) return text.status();
  config::ReadOptions options = ReadOptionsFor(path);
  options.check_machine = check_machine;
  return config::ParseServerConfig(*text, path, options);
}

int Run(int argc, char** argv) {
  ProgramInfo info;
  info.version = RINGMASTER_VERSION;
  info.description = "ringmaster: serves HTTP, static files and WebSocket as a JSON file says.";
  info.argument = "CONFIGURATION";
  info.help = {
      "CONFIGURATION is a JSON file; deploy/ringmaster.example.json shows every key, and",
      "deploy/ringmaster.schema.json describes them. `start` and `check` need it; `stop` and",
      "`status` need it only where it names the instance (name, pid_file, control_socket).",
      "",
      "RINGMASTER_ALLOWED_ORIGINS in the environment, comma-separated, takes the place of every",
      "allowed_origins in the file.",
  };

  info.help.emplace_back();
  for (const std::string& line : web::AdminHelp()) info.help.push_back(line);

  // Main reports what is wrong with the command line; here only the file's name is wanted of it.
  const absl::StatusOr<CommandLine> line =
      ParseCommandLine(std::vector<std::string>(argv + 1, argv + argc), /*takes_argument=*/true);
  const bool serves =
      line.ok() && (line->command == Command::kStart || line->command == Command::kRestart ||
                    line->command == Command::kCheck);
  // `doctor` says what the machine lacks; the first thing must not keep it from saying the rest.
  const bool examines = line.ok() && line->command == Command::kDoctor;
  config::ServerConfig config;
  absl::Status error;
  if (line.ok() && !line->argument.empty()) {
    info.configuration = line->argument;
    absl::StatusOr<config::ServerConfig> loaded = Load(line->argument, !examines);
    if (loaded.ok()) {
      config = *std::move(loaded);
    } else {
      error = loaded.status();
      // A file that was broken since the start must not keep its server from being stopped.
      if (!serves && !examines) {
        if (const absl::StatusOr<std::string> text = LoadConfigurationText(line->argument);
            text.ok()) {
          config::ConfigDocument document(line->argument, *text);
          config::ReadOptions options = ReadOptionsFor(line->argument);
          options.check_machine = false;
          config.server = config::ReadServerConfig(document, options).server;
          error = absl::OkStatus();
        }
      }
    }
  } else if (serves) {
    error = absl::InvalidArgumentError(
        "name the configuration file: ringmaster start CONFIGURATION "
        "(deploy/ringmaster.example.json is a full example)");
  }
  if (!error.ok()) {
    fmt::print(stderr, "error: {}\n", std::string(error.message()));
    return 1;
  }
  StockServer server(std::move(config));
  info.summary = [&server](const std::vector<std::string>& addresses) {
    return server.Summary(addresses);
  };
  return Main(server.definition(), argc, argv, info);
}

}  // namespace
}  // namespace ringmaster

int main(int argc, char** argv) { return ringmaster::Run(argc, argv); }
