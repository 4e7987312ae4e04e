#include "engine/process/master.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <utility>

#include "engine/base/log.h"
#include "engine/connection/connection_id.h"
#include "engine/process/admin_server.h"
#include "engine/process/configuration_snapshot.h"
#include "engine/process/cpu_affinity.h"
#include "engine/process/resource_limits.h"
#include "engine/stats/shared_status.h"

namespace ringmaster {
namespace {

// Not fmt::print: it throws where the terminal is gone.
void Say(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace

Master::Master(const ServerDefinition& server, const ProgramInfo& info, RuntimePaths paths,
               std::vector<std::string> worker_arguments, std::optional<StartReport> report)
    : server_(server),
      info_(info),
      paths_(std::move(paths)),
      worker_arguments_(std::move(worker_arguments)),
      report_(std::move(report)),
      on_terminal_(!report_ && ::isatty(STDIN_FILENO) == 1) {}

absl::Status Master::Run() {
  absl::Status status = Open();
  if (status.ok()) status = StartWorkers();
  if (!status.ok() && slots_.empty()) return GiveUp(status);
  if (!status.ok()) FailStart(status);
  status = Loop();
  if (!status.ok()) return GiveUp(status);
  const std::string summary = StatusSummary(*SharedStatus::Get(), MonotonicNow());
  if (report_) {
    log::Get().info("stopped: {}", summary);
  } else {
    Say(fmt::format("{} stopped: {}\n", server_.options.name, summary));
  }
  return absl::OkStatus();
}

absl::Status Master::GiveUp(absl::Status reason) {
  listening_.reset();
  admin_listening_.reset();
  control_.reset();
  pid_file_.reset();
  if (report_) report_->Failed(std::string(reason.message()));
  return reason;
}

absl::Status Master::Open() {
  if (absl::Status status = PrepareRuntimeDirectory(paths_); !status.ok()) return status;
  absl::StatusOr<PidFile> pid_file = PidFile::Acquire(paths_.pid_file);
  if (!pid_file.ok()) return pid_file.status();
  pid_file_ = std::move(*pid_file);

  absl::StatusOr<SignalQueue> signals = SignalQueue::Create();
  if (!signals.ok()) return signals.status();
  signals_ = std::move(*signals);

  absl::StatusOr<WorkerProgram> program = WorkerProgram::OfThisProcess(worker_arguments_);
  if (!program.ok()) return program.status();
  program_ = std::move(*program);

  absl::StatusOr<uint64_t> descriptor_limit = RaiseDescriptorLimit();
  if (!descriptor_limit.ok()) return descriptor_limit.status();
  descriptor_limit_ = *descriptor_limit;

  absl::StatusOr<ControlServer> control = ControlServer::Open(paths_.control_socket);
  if (!control.ok()) return control.status();
  control_ = std::move(*control);

  absl::StatusOr<UniqueFd> configuration = MakeConfigurationSnapshot();
  if (!configuration.ok()) return configuration.status();
  configuration_ = std::move(*configuration);
  return absl::OkStatus();
}

absl::Status Master::StartWorkers() {
  const ServerOptions& options = server_.options;
  const std::vector<int> cpus = AllowedCpus();
  const uint32_t count =
      options.workers > 0 ? options.workers : DefaultWorkerCount(cpus.size(), CpuQuota());
  const absl::StatusOr<uint32_t> connections_max = WorkerConnectionsMax(
      options.worker_connections_max, descriptor_limit_, server_.listeners().size());
  if (!connections_max.ok()) return connections_max.status();
  absl::StatusOr<std::unique_ptr<ListeningSockets>> listening =
      ListeningSockets::Open(server_, count);
  if (!listening.ok()) return listening.status();
  listening_ = std::move(*listening);
  addresses_ = listening_->addresses();
  if (absl::Status status = OpenAdmin(); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<SharedBlock>> block =
      SharedBlock::Create(count, admin_server_ != nullptr);
  if (!block.ok()) return block.status();
  (*block)->Describe(options.name, info_.version, addresses_,
                     admin_listening_ ? admin_listening_->addresses()[0] : "");
  (*block)->header().master_pid.store(::getpid());
  (*block)->header().started_at.store(MonotonicNow());
  (*block)->header().handler_timeout = options.handler_timeout.count();
  SharedStatus::Set(std::move(*block));
  if (SharedLimits::NeededBy(server_)) {
    absl::StatusOr<std::unique_ptr<SharedLimits>> limits = SharedLimits::Create(server_, count);
    if (!limits.ok()) return limits.status();
    limits_ = *std::move(limits);
  }
  log::Get().debug("{} workers, {} descriptors, {} connections per worker at most", count,
                   descriptor_limit_, *connections_max);

  if (absl::Status status = inquiry_.Open(count); !status.ok()) return status;
  slots_.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    WorkerInheritance role;
    role.index = i;
    role.shared_fd = SharedStatus::Get()->fd();
    role.limits_fd = limits_ == nullptr ? -1 : limits_->fd();
    role.report_fd = inquiry_.report_fd(i);
    role.configuration_fd = configuration_.get();
    role.cpu = options.pin_workers && !cpus.empty() ? cpus[i % cpus.size()] : -1;
    role.connections_max = *connections_max;
    role.listening_fds = listening_->ForWorker(i);
    slots_.emplace_back(std::move(role), SharedStatus::Get()->slot(i),
                        fmt::format("{}: worker {}", options.name, i), options.handler_kill_timeout,
                        limits_.get());
    absl::Status status = slots_.back().Start(program_, MonotonicNow());
    if (!status.ok()) return status;
  }
  return admin_server_ == nullptr ? absl::OkStatus() : StartAdmin();
}

absl::Status Master::OpenAdmin() {
  if (!HasAdmin(server_)) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<ServerDefinition>> admin = DefineAdminServer(server_, paths_);
  if (!admin.ok()) return admin.status();
  absl::StatusOr<std::unique_ptr<ListeningSockets>> listening =
      ListeningSockets::Open(**admin, /*worker_count=*/1);
  if (!listening.ok()) {
    return absl::Status(
        listening.status().code(),
        fmt::format("admin listener: {}", std::string(listening.status().message())));
  }
  admin_server_ = *std::move(admin);
  admin_listening_ = *std::move(listening);
  return absl::OkStatus();
}

absl::Status Master::StartAdmin() {
  WorkerInheritance role;
  role.admin = true;
  role.index = SharedStatus::Get()->slot_count();
  role.shared_fd = SharedStatus::Get()->fd();
  role.configuration_fd = configuration_.get();
  role.listening_fds = admin_listening_->ForWorker(0);
  admin_.emplace(std::move(role), *SharedStatus::Get()->admin_slot(),
                 fmt::format("{}: admin", server_.options.name));
  return admin_->Start(program_, MonotonicNow());
}

absl::Status Master::Loop() {
  while (AnyWorkerRunning() || stop_stage_ == StopStage::kNone) {
    Wait();
    OnTimers();
  }
  StopAdmin();
  while (AdminRunning()) {
    Wait();
    OnTimers();
  }
  return start_failure_;
}

void Master::Wait() {
  std::vector<pollfd> entries = {{signals_.fd(), POLLIN, 0}};
  for (const WorkerSlot& slot : slots_) entries.push_back({slot.control_fd(), POLLIN, 0});
  const size_t admin_at = entries.size();
  entries.push_back({admin_ ? admin_->control_fd() : -1, POLLIN, 0});
  const size_t control_begin = entries.size();
  control_->AppendPollEntries(entries);

  int timeout_ms = -1;
  if (const TimePoint deadline = NextDeadline(); deadline != kNever) {
    const TimePoint left = std::max<TimePoint>(deadline - MonotonicNow(), 0);
    timeout_ms = static_cast<int>(std::min<TimePoint>(left / 1'000'000 + 1, INT_MAX));
  }
  if (::poll(entries.data(), entries.size(), timeout_ms) <= 0) return;

  // Workers before signals: one that said ready and then died was ready.
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (entries[i + 1].revents != 0) ReadControl(slots_[i]);
  }
  if (entries[admin_at].revents != 0) ReadControl(*admin_);
  if (entries[0].revents != 0) {
    while (const std::optional<int> number = signals_.Next()) OnSignal(*number);
  }
  control_->Serve(&entries[control_begin], [this](uint64_t client, std::string_view request) {
    return OnRequest(client, request);
  });
}

void Master::OnSignal(int number) {
  switch (number) {
    case SIGCHLD:
      ReapChildren();
      return;
    case SIGTERM:
    case SIGQUIT:
      BeginStop(StopStage::kGraceful);
      return;
    case SIGINT:
      BeginStop(stop_stage_ == StopStage::kNone ? StopStage::kGraceful : StopStage::kNow);
      return;
    case SIGHUP:
      if (on_terminal_) {
        BeginStop(StopStage::kGraceful);
        return;
      }
      [[fallthrough]];
    default:
      log::Get().warn("{}: this release does not reload; stop and start the server instead",
                      ::strsignal(number));
  }
}

void Master::ReapChildren() {
  while (true) {
    int wait_status = 0;
    const pid_t pid = ::waitpid(-1, &wait_status, WNOHANG);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) return;
    // Others are orphans that a container's first process inherits.
    const auto slot = std::find_if(slots_.begin(), slots_.end(),
                                   [pid](const WorkerSlot& other) { return other.pid() == pid; });
    if (slot != slots_.end()) {
      OnWorkerExit(*slot, wait_status);
    } else if (admin_ && admin_->pid() == pid) {
      OnWorkerExit(*admin_, wait_status);
    }
  }
}

void Master::OnWorkerExit(WorkerSlot& slot, int wait_status) {
  const pid_t pid = slot.pid();
  if (slot.index() < slots_.size()) inquiry_.OnGone(slot.index());
  // What it said before it died may still be in its control socket.
  ReadControl(slot);
  const bool stopping = stop_stage_ != StopStage::kNone || !all_ready_;
  const std::string text =
      fmt::format("{} (pid {}) {}", slot.name(), pid, DescribeWaitStatus(wait_status));
  slot.OnExit(wait_status, MonotonicNow(), stopping);
  if (stop_stage_ == StopStage::kNone) {
    if (!all_ready_) {
      FailStart(absl::AbortedError(fmt::format("{} before all workers were ready", text)));
    } else {
      log::Get().error("{}", text);
    }
  } else if (wait_status != 0) {
    log::Get().warn("{} while stopping", text);
  }
}

void Master::ReadControl(WorkerSlot& slot) {
  while (const std::optional<ControlPacket> packet = slot.ReadControl()) {
    switch (packet->message) {
      case ControlMessage::kReady:
        OnWorkerReady(slot);
        break;
      case ControlMessage::kStuck:
        slot.ReplaceStuck("is held by a handler", MonotonicNow());
        break;
      case ControlMessage::kListed:
        inquiry_.OnListed(slot.index(), packet->argument);
        break;
      case ControlMessage::kKilled:
        AnswerKill(packet->argument,
                   fmt::format("killed {}\n", FormatConnectionId(packet->argument)));
        break;
      case ControlMessage::kNoConnection:
        AnswerKill(packet->argument, fmt::format("error there is no connection {}\n",
                                                 FormatConnectionId(packet->argument)));
        break;
      default:
        break;
    }
  }
}

void Master::ContinueInquiry(TimePoint now) {
  if (inquiry_.Done(now)) {
    const std::string answer = inquiry_.TakeAnswer(now);
    for (const uint64_t client : inquiry_.TakeClients()) control_->Answer(client, answer);
  }
  if (inquiry_.running() || !inquiry_.waiting()) return;
  const ControlPacket question{ControlMessage::kList, inquiry_.Begin(now)};
  for (const WorkerSlot& slot : slots_) {
    if (!slot.Send(question)) inquiry_.OnGone(slot.index());
  }
}

// An id names its worker, so only that one is asked.
std::optional<std::string> Master::OnKillRequest(uint64_t client, std::string_view id_text) {
  const std::optional<uint64_t> id = ParseConnectionId(id_text);
  if (!id) return fmt::format("error \"{}\" is no connection's id\n", id_text);
  const uint32_t worker = WorkerOfConnection(*id);
  if (worker >= slots_.size()) {
    return fmt::format("error there is no connection {}: no worker {}\n", id_text, worker);
  }
  if (!slots_[worker].Send({ControlMessage::kKill, *id})) {
    return fmt::format("error worker {} does not run, connection {} ended with it\n", worker,
                       id_text);
  }
  kills_.push_back({client, *id, MonotonicNow() + ConnectionInquiry::kPatience.count()});
  return std::nullopt;
}

void Master::AnswerKill(uint64_t id, const std::string& answer) {
  const auto answered = [&](const PendingKill& kill) {
    if (kill.id != id) return false;
    control_->Answer(kill.client, answer);
    return true;
  };
  std::erase_if(kills_, answered);
}

void Master::GiveUpKills(TimePoint now) {
  const auto given_up = [&](const PendingKill& kill) {
    const uint32_t worker = WorkerOfConnection(kill.id);
    if (!slots_[worker].running()) {
      control_->Answer(kill.client,
                       fmt::format("error worker {} ended, and connection {} with it\n", worker,
                                   FormatConnectionId(kill.id)));
      return true;
    }
    if (now < kill.deadline) return false;
    control_->Answer(kill.client,
                     fmt::format("error worker {} is busy: no answer; connection {} is closed when "
                                 "it goes on\n",
                                 worker, FormatConnectionId(kill.id)));
    return true;
  };
  std::erase_if(kills_, given_up);
}

void Master::OnWorkerReady(const WorkerSlot& slot) {
  log::Get().debug("{} (pid {}) is ready", slot.name(), slot.pid());
  if (all_ready_ || stop_stage_ != StopStage::kNone || !AllReady()) return;
  all_ready_ = true;
  const std::string banner = Banner();
  if (!report_) {
    Say(banner + "ready\n");
  } else if (report_->Ready(banner + "ready\n")) {
    log::Get().info("{} {} ready: {} workers on {}", server_.options.name, info_.version,
                    slots_.size(), fmt::join(addresses_, ", "));
  } else {
    log::Get().warn("the start was interrupted; stopping");
    BeginStop(StopStage::kGraceful);
  }
}

void Master::OnTimers() {
  const TimePoint now = MonotonicNow();
  for (WorkerSlot& slot : slots_) slot.OnTimer(program_, now);
  ContinueInquiry(now);
  GiveUpKills(now);
  if (admin_) admin_->OnTimer(program_, now);
  if (now >= admin_kill_at_) {
    admin_kill_at_ = kNever;
    log::Get().error("admin hangs and is killed");
    admin_->Kill();
  }
  if (stop_stage_ == StopStage::kNone || now < stop_deadline_) return;
  stop_deadline_ = kNever;
  if (stop_stage_ == StopStage::kGraceful) {
    log::Get().warn("stop_timeout is over; connections that are left are closed");
    BeginStop(StopStage::kNow);
  } else {
    for (WorkerSlot& slot : slots_) {
      if (slot.running()) log::Get().error("worker {} hangs and is killed", slot.index());
      slot.Kill();
    }
    stop_stage_ = StopStage::kKilled;
  }
}

std::optional<std::string> Master::OnRequest(uint64_t client, std::string_view request) {
  if (request == "status" || request == "status json" || request == "status json buckets") {
    if (SharedStatus::Get() == nullptr) return "error the server is starting\n";
    const StatusSnapshot status = StatusSnapshot::Take(*SharedStatus::Get(), MonotonicNow());
    if (request == "status") return StatusTable(status);
    return StatusJson(status, {.buckets = request.ends_with("buckets")});
  }
  if (request == "stop") {
    BeginStop(StopStage::kGraceful);
    const Duration at_most = server_.options.stop_timeout + kStopNowTimeout +
                             (admin_ ? kStopNowTimeout : Duration::zero());
    return fmt::format("ok {}\n",
                       std::chrono::duration_cast<std::chrono::seconds>(at_most).count() + 1);
  }
  if (request == "connections") {
    inquiry_.Add(client);
    return std::nullopt;
  }
  if (request.starts_with("kill ")) return OnKillRequest(client, request.substr(5));
  return fmt::format("error unknown request \"{}\"\n", request);
}

void Master::BeginStop(StopStage stage) {
  if (stage <= stop_stage_) return;
  if (!all_ready_ && start_failure_.ok()) {
    start_failure_ = absl::CancelledError("stopped before it was ready");
  }
  if (stop_stage_ == StopStage::kNone) log::Get().debug("stopping");
  stop_stage_ = stage;
  // Our copies would keep the kernel queueing connections that nobody will ever accept.
  listening_.reset();
  const bool graceful = stage == StopStage::kGraceful;
  const TimePoint now = MonotonicNow();
  stop_deadline_ = now + (graceful ? server_.options.stop_timeout : kStopNowTimeout).count();
  for (WorkerSlot& slot : slots_) {
    slot.Tell(graceful ? ControlMessage::kStop : ControlMessage::kStopNow);
  }
}

void Master::StopAdmin() {
  stop_deadline_ = kNever;
  admin_listening_.reset();
  if (!admin_) return;
  admin_->Tell(ControlMessage::kStop);
  admin_kill_at_ = MonotonicNow() + kStopNowTimeout.count();
}

void Master::FailStart(absl::Status reason) {
  if (start_failure_.ok()) start_failure_ = std::move(reason);
  BeginStop(StopStage::kNow);
}

bool Master::AnyWorkerRunning() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const WorkerSlot& slot) { return slot.running(); });
}

bool Master::AllReady() const {
  return std::all_of(slots_.begin(), slots_.end(),
                     [](const WorkerSlot& slot) { return slot.ready(); }) &&
         (admin_server_ == nullptr || (admin_ && admin_->ready()));
}

TimePoint Master::NextDeadline() const {
  TimePoint deadline = std::min({stop_deadline_, admin_kill_at_, inquiry_.deadline()});
  if (admin_) deadline = std::min(deadline, admin_->deadline());
  for (const PendingKill& kill : kills_) deadline = std::min(deadline, kill.deadline);
  for (const WorkerSlot& slot : slots_) deadline = std::min(deadline, slot.deadline());
  return deadline;
}

std::string Master::Banner() const {
  const ServerOptions& options = server_.options;
  std::string text = fmt::format("{}{}{}, pid {}\n", options.name, info_.version.empty() ? "" : " ",
                                 info_.version, ::getpid());
  if (!info_.configuration.empty()) {
    text += fmt::format("  configuration  {}\n", info_.configuration);
  }
  for (const std::string& address : addresses_) {
    text += fmt::format("  listening on   {}\n", address);
  }
  if (admin_listening_) {
    text += fmt::format("  admin          {}\n", admin_listening_->addresses()[0]);
  }
  text += fmt::format("  workers        {}\n", slots_.size());
  if (info_.summary) {
    text += info_.summary(addresses_);
    if (!text.ends_with('\n')) text += '\n';
  }
  return text;
}

}  // namespace ringmaster
