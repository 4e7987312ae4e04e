#include "engine/process/worker_slot.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "engine/base/log.h"
#include "engine/limits/shared_limits.h"
#include "engine/stats/figures.h"

namespace ringmaster {
namespace {

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// Stopped or slowed by a debugger: not dead. A developer would lose the very process he looks at.
bool IsTraced(pid_t pid) {
  std::FILE* const file = std::fopen(fmt::format("/proc/{}/status", pid).c_str(), "re");
  if (file == nullptr) return false;
  int tracer = 0;
  char line[256];
  while (std::fgets(line, sizeof(line), file) != nullptr) {
    if (std::sscanf(line, "TracerPid: %d", &tracer) == 1) break;
  }
  std::fclose(file);
  return tracer != 0;
}

}  // namespace

WorkerSlot::WorkerSlot(WorkerInheritance role, SharedSlot& shared, std::string title,
                       Duration silence_max, SharedLimits* limits)
    : role_(std::move(role)),
      shared_(shared),
      limits_(limits),
      title_(std::move(title)),
      watch_(silence_max) {
  shared_.cpu.store(role_.cpu);
}

absl::Status WorkerSlot::Start(const WorkerProgram& program, TimePoint now) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a worker's control socket");
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  WorkerInheritance role = role_;
  role.control_fd = theirs.get();
  SetState(SlotState::kStarting);
  shared_.started_at.store(now);
  shared_.pulse.turn_began_at.store(0);
  shared_.pulse.watchdog_at.store(0);
  const absl::StatusOr<pid_t> pid = program.Spawn(role, title_);
  if (!pid.ok()) return pid.status();
  pid_ = *pid;
  shared_.pid.store(pid_);
  control_ = std::move(ours);
  started_at_ = now;
  deadline_ = DeadlineAfter(now, kReadyTimeout);
  return absl::OkStatus();
}

std::string WorkerSlot::name() const {
  return role_.admin ? "admin" : fmt::format("worker {}", role_.index);
}

std::optional<ControlPacket> WorkerSlot::ReadControl() {
  if (!control_.valid()) return std::nullopt;
  char bytes[ControlPacket::kBytesMax];
  const ssize_t count = ::recv(control_.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  if (count <= 0) {
    // The worker is going; SIGCHLD tells the rest. An open end at end of file would keep poll
    // awake.
    control_.Reset();
    return std::nullopt;
  }
  const std::optional<ControlPacket> packet =
      ControlPacket::Read(bytes, static_cast<size_t>(count));
  if (packet->message != ControlMessage::kReady) return packet;
  if (state() != SlotState::kStarting) return std::nullopt;
  SetState(SlotState::kReady);
  deadline_ = kNever;
  watch_.Begin(started_at_);
  return packet;
}

bool WorkerSlot::Send(const ControlPacket& packet) const {
  return running() && control_.valid() && packet.Send(control_.get());
}

void WorkerSlot::ReplaceStuck(std::string_view why, TimePoint now) {
  watch_.End();
  if (!running() || stuck_since_ != 0) return;
  const TimePoint turn_began_at = shared_.pulse.turn_began_at.load();
  stuck_since_ = turn_began_at > 0 ? turn_began_at : now;
  shared_.stuck_replaced.fetch_add(1);
  log::Get().error("worker {} (pid {}) {}: it is killed and replaced", index(), pid_, why);
  Kill();
}

void WorkerSlot::OnExit(int wait_status, TimePoint now, bool stopping) {
  pid_ = -1;
  control_.Reset();
  shared_.pid.store(0);
  shared_.last_wait_status.store(wait_status);
  // Its connections died with it. Nobody else writes here now.
  ResetGauges(shared_.counters);
  if (limits_ != nullptr && !limits_->TakeBack(index())) {
    log::Get().warn("a limit may count one connection of worker {} until another worker ends",
                    index());
  }
  deadline_ = kNever;
  watch_.End();
  shared_.pulse.turn_began_at.store(0);
  shared_.pulse.watchdog_at.store(0);
  const TimePoint stuck_since = std::exchange(stuck_since_, 0);
  if (stopping) {
    SetState(SlotState::kStopped);
  } else if (stuck_since != 0) {
    Restart(backoff_.AfterStall(started_at_, stuck_since), now);
  } else {
    Restart(backoff_.AfterDeath(started_at_, now), now);
  }
}

void WorkerSlot::Restart(Duration wait, TimePoint now) {
  SetState(SlotState::kRestarting);
  shared_.restarts.fetch_add(1);
  deadline_ = now + wait.count();
  log::Get().warn("{} starts again in {:.1f} s", name(), Seconds(wait));
}

void WorkerSlot::Tell(ControlMessage message) {
  deadline_ = kNever;
  if (!running()) {
    SetState(SlotState::kStopped);
    return;
  }
  SetState(SlotState::kStopping);
  // Refused only by a worker that is going, or by one that has read nothing for hundreds of
  // messages; the stop's deadline ends that one.
  Send({message, 0});
}

void WorkerSlot::Kill() {
  if (running()) ::kill(pid_, SIGKILL);
}

void WorkerSlot::LookForLife(TimePoint now) {
  if (!running() || !watch_.Silent(shared_.pulse.watchdog_at.load(), now)) return;
  if (IsTraced(pid_)) {
    log::Get().warn("worker {} (pid {}) does not move: a debugger holds it", index(), pid_);
    watch_.Begin(now);
    return;
  }
  ReplaceStuck("gives no sign of life", now);
}

void WorkerSlot::OnTimer(const WorkerProgram& program, TimePoint now) {
  LookForLife(now);
  if (deadline_ > now) return;
  deadline_ = kNever;
  if (running()) {
    log::Get().error("{} (pid {}) is not ready after {:.0f} s and is killed", name(), pid_,
                     Seconds(kReadyTimeout));
    Kill();
    return;
  }
  if (const absl::Status status = Start(program, now); !status.ok()) {
    log::Get().error("{}", std::string(status.message()));
    started_at_ = now;
    Restart(backoff_.AfterDeath(started_at_, now), now);
  }
}

std::string DescribeWaitStatus(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int number = WTERMSIG(wait_status);
    return fmt::format("was killed by signal {} ({})", number, ::strsignal(number));
  }
  return fmt::format("exited with status {}", WEXITSTATUS(wait_status));
}

}  // namespace ringmaster
