#include "engine/process/planner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "engine/base/read_whole.h"
#include "engine/base/write_all.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/process/configuration_snapshot.h"
#include "engine/process/definition_plan.h"
#include "engine/process/worker_inheritance.h"
#include "engine/process/worker_slot.h"
#include "engine/stats/shared_block.h"

namespace ringmaster {
namespace {

constexpr int kLayout = 1;
constexpr uint32_t kVersion = 1;
constexpr size_t kOutputBytesMax = 4096;
constexpr off_t kPlanBytesMax = 64 << 20;

absl::StatusOr<std::optional<PlannerInheritance>> TakeRole() {
  const char* const variable = std::getenv(Planner::kVariable);
  if (variable == nullptr) return std::nullopt;
  PlannerInheritance role;
  int layout = 0;
  const int read = std::sscanf(variable, "layout=%d fd=%d state=%d configuration=%d", &layout,
                               &role.plan_fd, &role.state_fd, &role.configuration_fd);
  ::unsetenv(Planner::kVariable);
  if (read != 4 || layout != kLayout || ::fcntl(role.plan_fd, F_SETFD, FD_CLOEXEC) != 0) {
    return absl::InvalidArgumentError(
        fmt::format("{} is of another release; it is set by the master alone", Planner::kVariable));
  }
  return role;
}

std::string_view Trimmed(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  return text.starts_with("error: ") ? text.substr(7) : text;
}

absl::StatusOr<Planner::Plan> ParseAnswer(std::string_view text) {
  StateReader in(text);
  StateReader::Part answer = in.TakePart();
  if (!in.finished() || answer.version != kVersion) {
    return absl::FailedPreconditionError(
        "the new program does not answer as a server of this engine does");
  }
  const bool same_counters = answer.state.Unsigned() == SharedBlock::Fingerprint();
  const bool same_inheritance = answer.state.Unsigned() == WorkerInheritance::kLayout;
  if (!same_counters || !same_inheritance) {
    return absl::FailedPreconditionError(
        "the new program is of another release, which this master cannot start workers of: "
        "`upgrade` replaces the master, too");
  }
  const std::string_view definition = answer.state.Bytes();
  Planner::Plan plan;
  plan.version = answer.state.Bytes();
  if (answer.state.Bool()) plan.configuration = answer.state.Bytes();
  if (!answer.state.finished()) {
    return absl::FailedPreconditionError("the new program's plan is cut short");
  }
  absl::StatusOr<std::unique_ptr<ServerDefinition>> read = ReadPlan(definition);
  if (!read.ok()) return read.status();
  plan.definition = *std::move(read);
  return plan;
}

}  // namespace

absl::Status Planner::Begin(const WorkerProgram& program, int state_fd, int configuration_fd,
                            TimePoint now, Duration timeout) {
  plan_.Reset(::memfd_create("ringmaster-plan", MFD_CLOEXEC));
  int ends[2];
  if (!plan_.valid() || ::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return absl::ErrnoToStatus(errno, "cannot ask the new program for its plan");
  }
  output_.Reset(ends[0]);
  const UniqueFd theirs(ends[1]);
  WorkerProgram::Child child;
  child.title = "planner";
  child.variable = fmt::format("{}=layout={} fd={} state={} configuration={}", kVariable, kLayout,
                               plan_.get(), state_fd, configuration_fd);
  child.descriptors = {plan_.get()};
  if (state_fd >= 0) child.descriptors.push_back(state_fd);
  if (configuration_fd >= 0) child.descriptors.push_back(configuration_fd);
  child.knows_admin_token = true;
  child.stderr_fd = theirs.get();
  child.makes_way = true;
  const absl::StatusOr<pid_t> pid = program.Spawn(child);
  if (!pid.ok()) return pid.status();
  pid_ = *pid;
  text_.clear();
  timed_out_ = false;
  timeout_ = timeout;
  deadline_ = DeadlineAfter(now, timeout);
  return absl::OkStatus();
}

void Planner::Read() {
  char piece[1024];
  while (output_.valid()) {
    const ssize_t bytes = ::read(output_.get(), piece, sizeof(piece));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno == EAGAIN) return;
    if (bytes <= 0) {
      output_.Reset();
      return;
    }
    const size_t room = kOutputBytesMax - text_.size();
    text_.append(piece, std::min(room, static_cast<size_t>(bytes)));
  }
}

void Planner::OnTimer() {
  deadline_ = kNever;
  timed_out_ = true;
  if (running()) ::kill(pid_, SIGKILL);
}

void Planner::Abandon() {
  deadline_ = kNever;
  if (running()) ::kill(pid_, SIGKILL);
}

absl::StatusOr<Planner::Plan> Planner::Finish(int wait_status) {
  Read();
  pid_ = -1;
  deadline_ = kNever;
  output_.Reset();
  const UniqueFd plan = std::move(plan_);
  if (timed_out_) {
    return absl::FailedPreconditionError(
        fmt::format("the new program did not check its configuration within {} s (ready_timeout)",
                    std::chrono::duration<double>(timeout_).count()));
  }
  if (wait_status != 0) {
    const std::string_view said = Trimmed(text_);
    return absl::FailedPreconditionError(
        said.empty() ? fmt::format("the new program {} when it was to check its configuration",
                                   DescribeWaitStatus(wait_status))
                     : std::string(said));
  }
  const absl::StatusOr<std::string> answer = ReadWhole(plan.get(), kPlanBytesMax);
  if (!answer.ok()) return answer.status();
  return ParseAnswer(*answer);
}

absl::StatusOr<const PlannerInheritance*> PlannerRole() {
  static const absl::StatusOr<std::optional<PlannerInheritance>> role = TakeRole();
  if (!role.ok()) return role.status();
  return role->has_value() ? &**role : nullptr;
}

absl::Status WritePlanTo(int fd, const ServerDefinition& server, std::string_view version) {
  std::string text;
  StateWriter out(text);
  out.Part(kVersion, [&](StateWriter& part) {
    part.Unsigned(SharedBlock::Fingerprint());
    part.Unsigned(WorkerInheritance::kLayout);
    part.Bytes(WritePlan(server));
    part.Bytes(version);
    const std::optional<std::string>& configuration = LoadedConfigurationText();
    part.Bool(configuration.has_value());
    if (configuration) part.Bytes(*configuration);
  });
  if (!WriteAll(fd, text)) return absl::ErrnoToStatus(errno, "cannot write the plan");
  return absl::OkStatus();
}

}  // namespace ringmaster
