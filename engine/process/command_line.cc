#include "engine/process/command_line.h"

#include "engine/connection/connection_id.h"
#include "engine/process/connection_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

namespace ringmaster {
namespace {

struct CommandName {
  std::string_view name;
  Command command;
};
constexpr std::array<CommandName, 12> kCommands = {{{"start", Command::kStart},
                                                    {"stop", Command::kStop},
                                                    {"restart", Command::kRestart},
                                                    {"reload", Command::kReload},
                                                    {"upgrade", Command::kUpgrade},
                                                    {"status", Command::kStatus},
                                                    {"connections", Command::kConnections},
                                                    {"kill", Command::kKill},
                                                    {"check", Command::kCheck},
                                                    {"doctor", Command::kDoctor},
                                                    {"help", Command::kHelp},
                                                    {"version", Command::kVersion}}};
constexpr std::string_view kCommandList =
    "start, stop, restart, reload, upgrade, status, connections, kill, check and doctor";

// Insertions, deletions, substitutions and swaps of neighbours between two words: what fingers do.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> distance(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        distance[i][j] = i + j;
        continue;
      }
      const size_t substituted = distance[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      distance[i][j] = std::min({distance[i - 1][j] + 1, distance[i][j - 1] + 1, substituted});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        distance[i][j] = std::min(distance[i][j], distance[i - 2][j - 2] + 1);
      }
    }
  }
  return distance[a.size()][b.size()];
}

absl::Status UnknownCommand(std::string_view word) {
  const auto nearest = std::min_element(
      kCommands.begin(), kCommands.end(), [&](const CommandName& a, const CommandName& b) {
        return EditDistance(a.name, word) < EditDistance(b.name, word);
      });
  if (EditDistance(nearest->name, word) <= 2) {
    return absl::InvalidArgumentError(
        fmt::format("unknown command \"{}\"; did you mean \"{}\"?", word, nearest->name));
  }
  return absl::InvalidArgumentError(
      fmt::format("unknown command \"{}\"; the commands are {}", word, kCommandList));
}

std::optional<Command> FindCommand(std::string_view word) {
  for (const CommandName& command : kCommands) {
    if (command.name == word) return command.command;
  }
  return std::nullopt;
}

constexpr double kWatchSecondsMin = 0.1;
constexpr double kWatchSecondsMax = 3600;
constexpr Duration kWatchUsual = std::chrono::seconds(1);

// The word behind --watch, if it is a number: another one is the program's argument.
std::optional<double> ReadNumber(std::string_view word) {
  double number = 0;
  const char* const end = word.data() + word.size();
  const auto [stopped, error] = std::from_chars(word.data(), end, number);
  if (word.empty() || error != std::errc() || stopped != end) return std::nullopt;
  return number;
}

absl::StatusOr<Duration> WatchInterval(double seconds) {
  // Written so that NaN is refused too.
  if (!(seconds >= kWatchSecondsMin && seconds <= kWatchSecondsMax)) {
    return absl::InvalidArgumentError(
        fmt::format("--watch takes {} to {} seconds", kWatchSecondsMin, kWatchSecondsMax));
  }
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

absl::Status WrongOption(std::string_view option, std::string_view command) {
  return absl::InvalidArgumentError(
      fmt::format("option {} belongs to the command \"{}\"", option, command));
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments,
                                             bool takes_argument) {
  CommandLine line;
  bool has_command = false;
  bool has_argument = false;
  bool options_ended = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (!options_ended && word.size() > 1 && word[0] == '-') {
      if (word == "--") {
        options_ended = true;
      } else if (word == "-h" || word == "--help") {
        return CommandLine{};
      } else if (word == "-V" || word == "--version") {
        line.command = Command::kVersion;
        return line;
      } else if (word == "-d" || word == "--daemon") {
        line.daemon = true;
      } else if (word == "--json") {
        line.json = true;
      } else if (word == "--wait") {
        line.wait = true;
      } else if (word == "--now") {
        line.now = true;
      } else if (word == "--watch") {
        line.watch = kWatchUsual;
        const std::optional<double> seconds =
            i + 1 < arguments.size() ? ReadNumber(arguments[i + 1]) : std::nullopt;
        if (seconds) {
          const absl::StatusOr<Duration> interval = WatchInterval(*seconds);
          if (!interval.ok()) return interval.status();
          line.watch = *interval;
          ++i;
        }
      } else if (ConnectionQuery::IsOption(word)) {
        if (++i == arguments.size()) {
          return absl::InvalidArgumentError(fmt::format("option {} needs a value", word));
        }
        line.filters.emplace_back(word, arguments[i]);
      } else {
        return absl::InvalidArgumentError(fmt::format("unknown option {}", word));
      }
    } else if (!has_command) {
      const std::optional<Command> command = FindCommand(word);
      if (!command) return UnknownCommand(word);
      line.command = *command;
      has_command = true;
    } else if (line.command == Command::kKill && ParseConnectionId(word)) {
      line.ids.push_back(word);
    } else if (takes_argument && !has_argument) {
      line.argument = word;
      has_argument = true;
    } else {
      return absl::InvalidArgumentError(fmt::format("unexpected argument \"{}\"", word));
    }
  }
  if (!has_command &&
      (line.daemon || line.json || line.wait || line.now || line.watch || !line.filters.empty())) {
    return absl::InvalidArgumentError(fmt::format("a command is missing: {}", kCommandList));
  }
  if (line.daemon && line.command != Command::kStart && line.command != Command::kRestart) {
    return WrongOption("-d", "start");
  }
  if (line.wait && line.command != Command::kReload && line.command != Command::kUpgrade) {
    return WrongOption("--wait", "reload");
  }
  if (line.now && line.command != Command::kStop) return WrongOption("--now", "stop");
  if (line.json && line.command != Command::kStatus && line.command != Command::kConnections &&
      line.command != Command::kDoctor) {
    return WrongOption("--json", "status");
  }
  if (line.watch && line.command != Command::kStatus) return WrongOption("--watch", "status");
  if (!line.filters.empty() && line.command != Command::kConnections) {
    return WrongOption(line.filters.front().first, "connections");
  }
  return line;
}

}  // namespace ringmaster
