#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/time.h"

namespace ringmaster {

enum class Command {
  kHelp,
  kVersion,
  kStart,
  kStop,
  kStatus,
  kCheck,
  kConnections,
  kKill,
  kReload,
  kRestart,
  kUpgrade,
  kDoctor,
};

// What the user typed: a command, its options, and at most one argument of the program's own (the
// stock server's configuration file).
struct CommandLine {
  Command command = Command::kHelp;
  bool daemon = false;
  bool json = false;
  bool wait = false;              // reload, upgrade
  bool now = false;               // stop --now
  std::optional<Duration> watch;  // status --watch: the interval
  std::string argument;
  // Of `connections`: option and value, unread (connection_listing.h).
  std::vector<std::pair<std::string, std::string>> filters;
  // Of `kill`: what is a connection's id; the program's own argument is not.
  std::vector<std::string> ids;
};

// `arguments` are without the program's name. Options may stand before and after the command.
// Errors: kInvalidArgument, with the nearest right word where there is one.
absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments,
                                             bool takes_argument);

}  // namespace ringmaster
