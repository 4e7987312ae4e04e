#include "engine/process/status_watch.h"

#include <fmt/format.h>
#include <time.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "engine/process/control_client.h"
#include "engine/process/terminal.h"
#include "engine/stats/shared_status.h"
#include "engine/stats/watch_view.h"

namespace ringmaster {
namespace {

absl::StatusOr<StatusSnapshot> Ask(const std::string& control_socket) {
  const absl::StatusOr<std::string> answer =
      AskMaster(control_socket, "status json buckets", kAnswerTimeout);
  if (!answer.ok()) return answer.status();
  return StatusSnapshot::Parse(*answer);
}

// An interval counts from the last one's beginning, so that slow answers do not add up; what was
// missed (a stopped process) is not made up for.
TimePoint NextTick(TimePoint tick, Duration interval) {
  return std::max(tick + interval.count(), MonotonicNow());
}

void SleepUntil(TimePoint deadline) {
  const timespec until = {deadline / 1'000'000'000, deadline % 1'000'000'000};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

absl::Status WatchAsJson(const std::string& control_socket, Duration interval) {
  std::optional<StatusSnapshot> before;
  for (TimePoint tick = MonotonicNow();; tick = NextTick(tick, interval)) {
    SleepUntil(tick);
    absl::StatusOr<StatusSnapshot> now = Ask(control_socket);
    if (!now.ok()) return now.status();
    const std::string line = WatchJson(before ? &*before : nullptr, *now);
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size() ||
        std::fflush(stdout) != 0) {
      return absl::OkStatus();  // nobody reads any more
    }
    before = *std::move(now);
  }
}

std::string IntervalText(Duration interval) {
  return fmt::format("{} s", std::chrono::duration<double>(interval).count());
}

absl::Status WatchOnTerminal(const std::string& control_socket, Duration interval) {
  absl::StatusOr<StatusSnapshot> now = Ask(control_socket);
  if (!now.ok()) return now.status();
  absl::StatusOr<std::unique_ptr<Terminal>> opened = Terminal::Open();
  if (!opened.ok()) {
    return absl::FailedPreconditionError(
        fmt::format("status --watch shows a live view, and {}; with --json it prints a line per "
                    "interval",
                    std::string(opened.status().message())));
  }
  Terminal& terminal = **opened;
  std::optional<StatusSnapshot> before;
  TimePoint tick = NextTick(MonotonicNow(), interval);
  while (true) {
    terminal.Show(
        RenderWatch(before ? &*before : nullptr, *now, IntervalText(interval), terminal.size()));
    const Terminal::Event event = terminal.Wait(tick);
    if (event == Terminal::Event::kQuit) return absl::OkStatus();
    if (event == Terminal::Event::kRedraw) continue;
    absl::StatusOr<StatusSnapshot> next = Ask(control_socket);
    if (!next.ok()) return next.status();
    before = *std::exchange(now, std::move(next));
    tick = NextTick(MonotonicNow(), interval);
  }
}

}  // namespace

absl::Status WatchStatus(const std::string& control_socket, Duration interval, bool json) {
  return json ? WatchAsJson(control_socket, interval) : WatchOnTerminal(control_socket, interval);
}

}  // namespace ringmaster
