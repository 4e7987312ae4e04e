#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace ringmaster::log {

enum class Level : uint8_t { kTrace, kDebug, kInfo, kWarning, kError, kCritical };

// The process's logger: spdlog behind a narrow front (its headers cost seconds in every file that
// includes them), set up once by Main from ServerOptions. Text lines for people, JSON lines for
// machines. Nothing is formatted below the level in force. Hot paths do not log; anything a
// stranger can trigger is logged at a bounded rate. Never throws and never fails: a line that
// cannot be written (a full disk) is lost and counted, and the first one that can be written again
// is preceded by one that says how many were lost.
//
//   log::Get().info("worker {} ready", index);
class Logger {
 public:
  template <typename... Arguments>
  void debug(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    if (Enabled(Level::kDebug)) Write(Level::kDebug, format, fmt::make_format_args(arguments...));
  }
  template <typename... Arguments>
  void info(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    if (Enabled(Level::kInfo)) Write(Level::kInfo, format, fmt::make_format_args(arguments...));
  }
  template <typename... Arguments>
  void warn(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    if (Enabled(Level::kWarning)) {
      Write(Level::kWarning, format, fmt::make_format_args(arguments...));
    }
  }
  template <typename... Arguments>
  void error(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    if (Enabled(Level::kError)) Write(Level::kError, format, fmt::make_format_args(arguments...));
  }

  bool Enabled(Level level) const;

 private:
  void Write(Level level, fmt::string_view format, fmt::format_args arguments) noexcept;
};

// Errors: kInvalidArgument (level, format), kPermissionDenied, kNotFound, ... (file).
absl::Status Setup(const std::string& level, const std::string& format, const std::string& file,
                   const std::string& process);

Logger& Get();

// Lines that this process has lost since it began; any thread.
uint64_t LinesLost();
// For other logs that lose lines, so that one figure tells of all.
void AddLinesLost(uint64_t count);

}  // namespace ringmaster::log
