#include "engine/process/worker_slot.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/base/log.h"
#include "engine/limits/shared_limits.h"

namespace ringmaster {
namespace {

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

WorkerSlot::WorkerSlot(WorkerInheritance role, SharedSlot& shared, std::string title,
                       SharedLimits* limits)
    : role_(std::move(role)), shared_(shared), limits_(limits), title_(std::move(title)) {
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
  const absl::StatusOr<pid_t> pid = program.Spawn(role, title_);
  if (!pid.ok()) return pid.status();
  pid_ = *pid;
  shared_.pid.store(pid_);
  control_ = std::move(ours);
  started_at_ = now;
  deadline_ = DeadlineAfter(now, kReadyTimeout);
  return absl::OkStatus();
}

bool WorkerSlot::OnControlReadable() {
  char message = 0;
  const ssize_t bytes = ::recv(control_.get(), &message, 1, MSG_DONTWAIT);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (bytes <= 0) {
    // The worker is going; SIGCHLD tells the rest. An open end at end of file would keep poll
    // awake.
    control_.Reset();
    return false;
  }
  if (static_cast<ControlMessage>(message) != ControlMessage::kReady) return false;
  if (state() != SlotState::kStarting) return false;
  SetState(SlotState::kReady);
  deadline_ = kNever;
  return true;
}

void WorkerSlot::OnExit(int wait_status, TimePoint now, bool stopping) {
  pid_ = -1;
  control_.Reset();
  shared_.pid.store(0);
  shared_.last_wait_status.store(wait_status);
  // Its connections died with it. Nobody else writes here now.
  shared_.counters.connections_open.Set(0);
  if (limits_ != nullptr && !limits_->TakeBack(index())) {
    log::Get().warn("a limit may count one connection of worker {} until another worker ends",
                    index());
  }
  deadline_ = kNever;
  if (stopping) {
    SetState(SlotState::kStopped);
  } else {
    Restart(now);
  }
}

void WorkerSlot::Restart(TimePoint now) {
  const Duration wait = backoff_.AfterDeath(started_at_, now);
  SetState(SlotState::kRestarting);
  shared_.restarts.fetch_add(1);
  deadline_ = now + wait.count();
  log::Get().warn("worker {} starts again in {:.1f} s", index(), Seconds(wait));
}

void WorkerSlot::Tell(ControlMessage message) {
  deadline_ = kNever;
  if (!running()) {
    SetState(SlotState::kStopped);
    return;
  }
  SetState(SlotState::kStopping);
  const char text = static_cast<char>(message);
  // Refused only by a worker that is going, or by one that has read nothing for hundreds of
  // messages.
  (void)::send(control_.get(), &text, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void WorkerSlot::Kill() {
  if (running()) ::kill(pid_, SIGKILL);
}

void WorkerSlot::OnTimer(const WorkerProgram& program, TimePoint now) {
  if (deadline_ > now) return;
  deadline_ = kNever;
  if (running()) {
    log::Get().error("worker {} (pid {}) is not ready after {:.0f} s and is killed", index(), pid_,
                     Seconds(kReadyTimeout));
    Kill();
    return;
  }
  if (const absl::Status status = Start(program, now); !status.ok()) {
    log::Get().error("{}", std::string(status.message()));
    started_at_ = now;
    Restart(now);
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
