#include "protocols/web/service/health.h"

#include <fmt/format.h>

#include <iterator>

namespace ringmaster::web {
namespace {

struct Survey {
  uint32_t ready = 0;
  bool stopping = false;
  bool master_gone = false;
  std::string reasons;  // a line each
};

Survey Look(const SharedBlock& block, pid_t parent, TimePoint now) {
  Survey survey;
  const int32_t master = block.header().master_pid.load();
  survey.master_gone = master != parent;
  if (survey.master_gone) {
    survey.reasons += fmt::format("the master (pid {}) is gone\n", master);
  }
  for (uint32_t i = 0; i < block.slot_count(); ++i) {
    const SlotState state = block.slot(i).state.load();
    // Of a reload: a worker that waits to take a place, one whose place was taken, one that is
    // gone.
    if (state == SlotState::kStandby || state == SlotState::kDraining ||
        block.slot(i).retired.load()) {
      continue;
    }
    const Duration stuck = block.StuckFor(i, now);
    if (stuck.count() > 0) {
      const std::chrono::duration<double> seconds = stuck;
      fmt::format_to(std::back_inserter(survey.reasons),
                     "worker {} is held by a handler for {:.1f} s\n", i, seconds.count());
      continue;
    }
    if (state == SlotState::kReady) {
      ++survey.ready;
      continue;
    }
    survey.stopping |= state == SlotState::kStopping || state == SlotState::kStopped;
    fmt::format_to(std::back_inserter(survey.reasons), "worker {} is {}\n", i,
                   SlotStateName(state));
  }
  return survey;
}

Health Report(const SharedBlock& block, const Survey& survey, bool ok) {
  return {ok, fmt::format("{}: {}{} of {} workers ready\n{}", ok ? "ok" : "not ok",
                          survey.stopping ? "stopping, " : "", survey.ready,
                          block.header().worker_count.load(), survey.reasons)};
}

}  // namespace

Health Liveness(const SharedBlock& block, pid_t parent, TimePoint now) {
  const Survey survey = Look(block, parent, now);
  return Report(block, survey, !survey.master_gone && survey.ready > 0);
}

Health Readiness(const SharedBlock& block, pid_t parent, TimePoint now) {
  const Survey survey = Look(block, parent, now);
  return Report(block, survey,
                !survey.master_gone && !survey.stopping &&
                    survey.ready >= block.header().worker_count.load());
}

}  // namespace ringmaster::web
