#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace ringmaster {

// What Main tells a user about the program that called it. Everything may stay empty.
struct ProgramInfo {
  std::string version;
  // One line on top of --help.
  std::string description;
  // The program's own argument, as help shows it: "CONFIGURATION". Empty = it takes none.
  std::string argument;
  // Further lines below --help.
  std::vector<std::string> help;
  // The configuration file, for the banner.
  std::string configuration;
  // What the banner says below the listeners, given where they really listen, in their order: the
  // URLs to try. May be several lines.
  std::function<std::string(const std::vector<std::string>& addresses)> summary;
  // What `check` and `start` ask before anything is opened.
  std::function<absl::Status()> validate;
  // The workers' command line; the master's own when not set.
  std::optional<std::vector<std::string>> worker_arguments;
};

}  // namespace ringmaster
