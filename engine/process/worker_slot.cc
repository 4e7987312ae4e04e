#include "engine/process/worker_slot.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "engine/base/descriptor_passing.h"
#include "engine/base/log.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/limits/shared_limits.h"
#include "engine/process/start_priority.h"
#include "engine/stats/figures.h"
#include "engine/stats/shared_status.h"

namespace ringmaster {
namespace {

// For who was told to leave and has nothing to wait for.
constexpr Duration kLeaveTimeout = std::chrono::seconds(10);

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

WorkerSlot::WorkerSlot(WorkerInheritance role, std::shared_ptr<const Generation> generation,
                       uint32_t place, SharedSlot& shared, std::string title, uint16_t& next_prefix)
    : role_(std::move(role)),
      generation_(std::move(generation)),
      place_(place),
      shared_(shared),
      title_(std::move(title)),
      next_prefix_(next_prefix),
      watch_(role_.admin ? Duration::zero() : options().handler_kill_timeout) {
  shared_.cpu.store(role_.cpu);
  shared_.place.store(place_);
  shared_.generation.store(generation_->number);
  shared_.retired.store(false);
}

WorkerSlot::WorkerSlot(Adopted adopted, WorkerInheritance role,
                       std::shared_ptr<const Generation> generation, uint32_t place,
                       SharedSlot& shared, std::string title, uint16_t& next_prefix)
    : WorkerSlot(std::move(role), std::move(generation), place, shared, std::move(title),
                 next_prefix) {
  pid_ = adopted.pid;
  control_ = std::move(adopted.control);
  inbox_ = std::move(adopted.inbox);
  adopted_ = true;
  process_ = std::move(adopted.process);
  started_at_ = MonotonicNow();
  shared_.pid.store(pid_);
  shared_.generation.store(adopted.generation);
  shared_.started_at.store(started_at_);
  // Its signs of life are where its former master looked.
  watch_.End();
  SetState(SlotState::kReady);
}

WorkerSlot::WorkerSlot(StateReader& in, std::shared_ptr<const Generation> generation,
                       SharedSlot& shared, std::string title, uint16_t& next_prefix)
    : generation_(std::move(generation)),
      shared_(shared),
      title_(std::move(title)),
      next_prefix_(next_prefix),
      watch_(options().handler_kill_timeout) {
  absl::StatusOr<WorkerInheritance> role = WorkerInheritance::Parse(in.Bytes());
  place_ = static_cast<uint32_t>(in.Unsigned());
  pid_ = static_cast<pid_t>(in.Signed());
  control_.Reset(static_cast<int>(in.Signed()));
  inbox_.Reset(static_cast<int>(in.Signed()));
  adopted_ = in.Bool();
  process_.Reset(static_cast<int>(in.Signed()));
  draining_ = in.Bool();
  started_at_ = in.Signed();
  deadline_ = in.Signed();
  const auto state =
      static_cast<SlotState>(in.UnsignedUpTo(static_cast<uint64_t>(SlotState::kStopped)));
  if (!role.ok()) {
    in.Fail();
    return;
  }
  role_ = *std::move(role);
  shared_.pid.store(std::max(pid_, 0));
  shared_.cpu.store(role_.cpu);
  shared_.place.store(place_);
  shared_.generation.store(generation_->number);
  shared_.started_at.store(started_at_);
  shared_.retired.store(false);
  SetState(state);
  if (ready() && !adopted_) watch_.Begin(started_at_);
}

void WorkerSlot::Save(StateWriter& out, std::vector<int>& kept) const {
  WorkerInheritance role = role_;
  role.control_fd = 0;  // each process that works here gets its own
  out.Bytes(role.ToText());
  out.Unsigned(place_);
  out.Signed(pid_);
  for (const int fd : {control_.get(), inbox_.get()}) {
    out.Signed(fd);
    if (fd >= 0) kept.push_back(fd);
  }
  out.Bool(adopted_);
  out.Signed(process_.get());
  if (process_.valid()) kept.push_back(process_.get());
  out.Bool(draining_);
  out.Signed(started_at_);
  out.Signed(deadline_);
  out.Unsigned(static_cast<uint64_t>(state()));
}

absl::Status WorkerSlot::Start(TimePoint now) {
  int control[2];
  int inbox[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a worker's control socket");
  }
  UniqueFd ours(control[0]);
  const UniqueFd theirs(control[1]);
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, inbox) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a worker's inbox");
  }
  UniqueFd our_inbox(inbox[0]);
  const UniqueFd their_inbox(inbox[1]);
  WorkerInheritance role = role_;
  role.control_fd = theirs.get();
  role.inbox_fd = their_inbox.get();
  role.connection_prefix = next_prefix_++;
  // Others serve already. One that died is missed: its successor does not wait.
  if (role.standby || role.admin) role.nice = NiceToReturnTo();
  SetState(SlotState::kStarting);
  shared_.started_at.store(now);
  shared_.pulse.turn_began_at.store(0);
  shared_.pulse.watchdog_at.store(0);
  killed_because_.clear();
  const absl::StatusOr<pid_t> pid = generation_->program.Spawn(role, title_);
  if (!pid.ok()) return pid.status();
  pid_ = *pid;
  shared_.pid.store(pid_);
  control_ = std::move(ours);
  inbox_ = std::move(our_inbox);
  started_at_ = now;
  deadline_ = DeadlineAfter(now, options().ready_timeout);
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
  SetState(role_.standby ? SlotState::kStandby : SlotState::kReady);
  deadline_ = kNever;
  watch_.Begin(started_at_);
  return packet;
}

bool WorkerSlot::SendWithDescriptor(ControlMessage message, int fd) const {
  if (!running() || !inbox_.valid()) return false;
  // The descriptor is there before the message that speaks of it.
  return SendDescriptor(inbox_.get(), fd) && Send({message, 0});
}

void WorkerSlot::Serve() { Serve(ControlMessage::kServe); }

void WorkerSlot::Resume() { Serve(ControlMessage::kResume); }

void WorkerSlot::TakeBack() { Serve(ControlMessage::kTakeBack); }

void WorkerSlot::Serve(ControlMessage how) {
  role_.standby = false;
  draining_ = false;
  if (running()) SetState(SlotState::kReady);
  Send({how, 0});
}

void WorkerSlot::BeginDraining() {
  draining_ = true;
  deadline_ = kNever;
  SetState(running() ? SlotState::kDraining : SlotState::kStopped);
}

void WorkerSlot::LeaveWhenDrained(TimePoint now) {
  BeginDraining();
  const Duration drain = options().drain_timeout + options().drain_spread;
  deadline_ = now + (drain + kLeaveTimeout).count();
  Send({ControlMessage::kRetire, 0});
}

void WorkerSlot::Discard(TimePoint now) {
  BeginDraining();
  deadline_ = now + kLeaveTimeout.count();
  Send({ControlMessage::kStopNow, 0});
}

void WorkerSlot::Retire() {
  SetState(SlotState::kStopped);
  shared_.retired.store(true);
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
  inbox_.Reset();
  process_.Reset();
  shared_.pid.store(0);
  shared_.last_wait_status.store(wait_status);
  // Its connections died with it. Nobody else writes here now.
  ResetGauges(shared_.counters);
  SharedLimits* const limits = generation_->limits.get();
  if (limits != nullptr && !role_.admin && !limits->TakeBack(index())) {
    log::Get().warn("a limit may count one connection of worker {} until another worker ends",
                    index());
  }
  deadline_ = kNever;
  watch_.End();
  shared_.pulse.turn_began_at.store(0);
  shared_.pulse.watchdog_at.store(0);
  const TimePoint stuck_since = std::exchange(stuck_since_, 0);
  if (stopping || adopted_ || !in_service()) {
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

void WorkerSlot::Kill(std::string_view why) {
  if (!why.empty()) killed_because_ = why;
  if (running() && adopted_) {
    // The number may be another's as soon as it has ended.
    ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
  } else if (running()) {
    ::kill(pid_, SIGKILL);
  }
}

std::string WorkerSlot::DescribeEnd(int wait_status) const {
  if (!killed_because_.empty()) return killed_because_;
  return adopted_ ? "has ended" : DescribeWaitStatus(wait_status);
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

void WorkerSlot::OnTimer(TimePoint now) {
  LookForLife(now);
  if (deadline_ > now) return;
  deadline_ = kNever;
  if (running() && draining_) {
    log::Get().error("{} (pid {}) does not leave and is killed", name(), pid_);
    Kill("did not leave when it was told to");
    return;
  }
  if (running()) {
    const std::string why = fmt::format("was not ready after {:.3g} s (ready_timeout)",
                                        Seconds(options().ready_timeout));
    log::Get().error("{} (pid {}) {} and is killed", name(), pid_, why);
    Kill(why);
    return;
  }
  if (const absl::Status status = Start(now); !status.ok()) {
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
