#include "engine/process/reload_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <string_view>
#include <thread>

#include "engine/process/command_failure.h"
#include "engine/process/control_client.h"
#include "engine/stats/shared_status.h"

namespace ringmaster {
namespace {

constexpr Duration kInterval = std::chrono::milliseconds(50);
// A program that executes and reads its state.
constexpr Duration kTakeOverMax = std::chrono::seconds(30);
constexpr std::string_view kAbandoned = "abandoned: ";

void Print(std::FILE* stream, std::string_view line) {
  std::fputs(fmt::format("{}\n", line).c_str(), stream);
  std::fflush(stream);
}

std::string_view TakeLine(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

// Shows the lines that are new. nullopt: it goes on. `reason` is that of an abandonment: its line
// comes first, then the old workers get back what they had.
std::optional<int> ShowProgress(std::string_view answer, size_t& shown, std::string& reason) {
  const std::string_view state = TakeLine(answer);
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

// How often the master's program was replaced since it started.
absl::StatusOr<uint64_t> UpgradeCount(const std::string& control_socket) {
  const absl::StatusOr<std::string> answer =
      AskMaster(control_socket, "status json", kAnswerTimeout);
  if (!answer.ok()) return answer.status();
  const absl::StatusOr<StatusSnapshot> status = StatusSnapshot::Parse(*answer);
  if (!status.ok()) return status.status();
  return status->reload.upgrades;
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
  std::string reason;
  while (true) {
    const absl::StatusOr<std::string> answer =
        AskMaster(control_socket, fmt::format("reload log {} {}", number, shown), kAnswerTimeout);
    if (!answer.ok()) return Fail(std::string(answer.status().message()));
    if (const std::optional<int> over = ShowProgress(*answer, shown, reason)) return *over;
    std::this_thread::sleep_for(kInterval);
  }
}

int UpgradeCommand(const std::string& control_socket, bool wait) {
  const absl::StatusOr<uint64_t> before = UpgradeCount(control_socket);
  if (!before.ok()) return Fail(std::string(before.status().message()));
  // The new program checks itself first, for as long as ready_timeout lets it.
  const absl::StatusOr<std::string> checked =
      AskMaster(control_socket, "upgrade", std::chrono::hours(1));
  if (!checked.ok()) return Fail(std::string(checked.status().message()));
  const TimePoint begun = MonotonicNow();
  while (true) {
    const absl::StatusOr<uint64_t> count = UpgradeCount(control_socket);
    if (count.ok() && *count > *before) break;
    if (MonotonicNow() - begun > kTakeOverMax.count()) {
      return Fail("the new program has not taken the master's place; the log says why");
    }
    std::this_thread::sleep_for(kInterval);
  }
  Print(stdout, "the master runs the new program");
  return ReloadCommand(control_socket, wait);
}

}  // namespace ringmaster
