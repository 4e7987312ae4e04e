#include "engine/process/reload_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <string_view>
#include <thread>

#include "engine/process/control_client.h"
#include "engine/process/exit_status.h"

namespace ringmaster {
namespace {

constexpr Duration kInterval = std::chrono::milliseconds(50);
constexpr std::string_view kAbandoned = "abandoned: ";

void Print(std::FILE* stream, std::string_view line) {
  std::fputs(fmt::format("{}\n", line).c_str(), stream);
  std::fflush(stream);
}

int Fail(std::string_view reason) {
  Print(stderr, fmt::format("error: {}", reason));
  return kFailed;
}

std::string_view TakeLine(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

// Shows the lines that are new. nullopt: it goes on.
std::optional<int> ShowProgress(std::string_view answer, size_t& shown) {
  const std::string_view state = TakeLine(answer);
  std::string reason;
  while (!answer.empty()) {
    const std::string_view line = TakeLine(answer);
    ++shown;
    if (line.starts_with(kAbandoned)) reason = line.substr(kAbandoned.size());
    Print(stdout, line);
  }
  if (state == "running") return std::nullopt;
  if (state == "done") return 0;
  return Fail(reason.empty() ? "the reload was abandoned" : "the reload was abandoned: " + reason);
}

}  // namespace

int ReloadCommand(const std::string& control_socket, bool wait) {
  const absl::StatusOr<std::string> begun = AskMaster(control_socket, "reload", kAnswerTimeout);
  if (!begun.ok()) return Fail(std::string(begun.status().message()));
  uint32_t number = 0;
  const std::string_view digits = std::string_view(*begun).substr(3);
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (!wait) {
    Print(stdout,
          fmt::format("the reload to generation {} has begun; `status` shows how it goes", number));
    return 0;
  }
  size_t shown = 0;
  while (true) {
    const absl::StatusOr<std::string> answer =
        AskMaster(control_socket, fmt::format("reload log {} {}", number, shown), kAnswerTimeout);
    if (!answer.ok()) return Fail(std::string(answer.status().message()));
    if (const std::optional<int> over = ShowProgress(*answer, shown)) return *over;
    std::this_thread::sleep_for(kInterval);
  }
}

}  // namespace ringmaster
