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
#include "engine/process/admin_server.h"
#include "engine/process/configuration_snapshot.h"
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
               std::vector<std::string> worker_arguments, Origin origin)
    : server_(server),
      info_(info),
      paths_(std::move(paths)),
      worker_arguments_(std::move(worker_arguments)),
      report_(std::move(origin.report)),
      manager_(std::move(origin.manager)),
      activated_(std::move(origin.activated)),
      on_terminal_(!report_ && ::isatty(STDIN_FILENO) == 1),
      daemon_(report_.has_value()) {}

absl::Status Master::Run() {
  absl::Status status = Open();
  if (status.ok()) status = StartWorkers();
  if (!status.ok() && (!fleet_ || fleet_->slots().empty())) return GiveUp(status);
  if (!status.ok()) FailStart(status);
  return ServeAndStop();
}

absl::Status Master::RunResumed() {
  ReapChildren();  // who ended while the programs changed
  return ServeAndStop();
}

absl::Status Master::ServeAndStop() {
  const absl::Status status = Loop();
  if (!status.ok()) return GiveUp(status);
  const std::string summary = StatusSummary(*SharedStatus::Get(), MonotonicNow());
  if (daemon_) {
    log::Get().info("stopped: {}", summary);
  } else {
    Say(fmt::format("{} stopped: {}\n", options().name, summary));
  }
  return absl::OkStatus();
}

absl::Status Master::GiveUp(absl::Status reason) {
  LeaveOrphans();
  listening_.reset();
  admin_listening_.reset();
  control_.reset();
  door_ = OrphanDoor();
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

  absl::StatusOr<uint64_t> descriptor_limit = RaiseDescriptorLimit();
  if (!descriptor_limit.ok()) return descriptor_limit.status();
  descriptor_limit_ = *descriptor_limit;

  absl::StatusOr<ControlServer> control = ControlServer::Open(paths_.control_socket);
  if (!control.ok()) return control.status();
  control_ = std::move(*control);
  return OpenDoor();
}

absl::Status Master::StartWorkers() {
  absl::StatusOr<WorkerProgram> program = WorkerProgram::OfThisProcess(worker_arguments_);
  if (!program.ok()) return program.status();
  absl::StatusOr<UniqueFd> configuration = MakeConfigurationSnapshot(LoadedConfigurationText());
  if (!configuration.ok()) return configuration.status();
  if (absl::Status status = FindOrphans(); !status.ok()) return status;
  // Counts on: `generation_header` tells who answers.
  uint32_t number = 1;
  for (const FoundWorker& found : found_) {
    number = std::max(number, found.worker.hello.generation + 1);
  }
  const uint32_t slot_capacity = Generation::SlotCapacityFor(Generation::WorkerCountOf(server_));
  // The first generation's definition is the program's own.
  const std::shared_ptr<const ServerDefinition> own(&server_, [](const ServerDefinition*) {});
  absl::StatusOr<std::shared_ptr<Generation>> generation =
      Generation::Make(number, *std::move(program), *std::move(configuration), own,
                       descriptor_limit_, slot_capacity, /*former=*/nullptr);
  if (!generation.ok()) return generation.status();
  (*generation)->version = info_.version;
  if (!found_.empty()) first_ = *generation;
  current_ = *std::move(generation);
  absl::StatusOr<std::unique_ptr<ListeningSockets>> listening =
      ListeningSockets::Open(server_, current_->worker_count, &activated_, TakeFoundSockets());
  if (!listening.ok()) return listening.status();
  listening_ = std::move(*listening);
  if (absl::Status status = OpenAdmin(); !status.ok()) return status;
  if (absl::Status status = OpenBlock(); !status.ok()) return status;
  log::Get().debug("{} workers, {} descriptors, {} connections per worker at most",
                   current_->worker_count, descriptor_limit_, current_->connections_max);
  if (!found_.empty()) return AdoptOrphans();
  for (uint32_t place = 0; place < current_->worker_count; ++place) {
    const absl::StatusOr<WorkerSlot*> slot =
        fleet_->Start(current_, place, *listening_, /*standby=*/false);
    if (!slot.ok()) return slot.status();
  }
  return admin_server_ == nullptr ? absl::OkStatus() : StartAdmin(current_);
}

absl::Status Master::OpenBlock() {
  absl::StatusOr<std::unique_ptr<SharedBlock>> block = SharedBlock::Create(
      /*slot_count=*/0, /*with_admin=*/true, Generation::SlotCapacityFor(current_->worker_count));
  if (!block.ok()) return block.status();
  SharedStatus::Set(std::move(*block));
  SharedHeader& header = SharedStatus::Get()->header();
  header.master_pid.store(::getpid());
  header.started_at.store(MonotonicNow());
  DescribeServer();
  MakeFleet();
  return absl::OkStatus();
}

void Master::MakeFleet() {
  fleet_.emplace(*SharedStatus::Get(), inquiry_, door_.fd());
  reload_.emplace(Reload::Server{*fleet_, *listening_, *SharedStatus::Get(), descriptor_limit_,
                                 current_, [this] { OnReloadDone(); },
                                 [this] { OnReloadEnded(); }});
}

void Master::DescribeServer() {
  SharedBlock& block = *SharedStatus::Get();
  block.header().generation.store(current_->number);
  block.header().worker_count.store(current_->worker_count);
  block.header().handler_timeout.store(options().handler_timeout.count());
  block.Describe(options().name, current_->version, listening_->Addresses(*current_->definition),
                 admin_listening_ ? admin_listening_->Addresses(*admin_server_)[0] : "");
}

absl::Status Master::OpenAdmin() {
  const ServerDefinition& server = *current_->definition;
  if (!HasAdmin(server)) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<ServerDefinition>> admin = DefineAdminServer(server, paths_);
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

// Where it listened before it goes on listening, if it still shall.
absl::Status Master::ChangeAdmin() {
  absl::StatusOr<std::unique_ptr<ServerDefinition>> admin =
      DefineAdminServer(*current_->definition, paths_);
  if (!admin.ok()) return admin.status();
  if (absl::Status added = admin_listening_->Add(**admin, 1); !added.ok()) return added;
  admin_server_ = *std::move(admin);
  admin_listening_->Keep(*admin_server_, 1);
  return absl::OkStatus();
}

absl::Status Master::StartAdmin(std::shared_ptr<const Generation> generation) {
  WorkerInheritance role;
  role.admin = true;
  role.index = SharedStatus::Get()->slot_capacity();
  role.generation = generation->number;
  role.shared_fd = SharedStatus::Get()->fd();
  role.door_fd = door_.fd();
  role.configuration_fd = generation->configuration.get();
  role.listening_sockets = admin_listening_->ForWorker(*admin_server_, 0, 1);
  admin_.emplace(std::move(role), std::move(generation), /*place=*/0,
                 *SharedStatus::Get()->admin_slot(), fmt::format("{}: admin", options().name),
                 fleet_->next_prefix());
  return admin_->Start(MonotonicNow());
}

absl::Status Master::Loop() {
  OnTimers();
  while (fleet_->AnyRunning() || stop_stage_ == StopStage::kNone) {
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
  std::vector<uint32_t> workers;  // by index: one may be gone when its turn comes
  for (const WorkerSlot& slot : fleet_->slots()) {
    workers.push_back(slot.index());
    entries.push_back({slot.control_fd(), POLLIN, 0});
  }
  for (const WorkerSlot& slot : fleet_->slots()) entries.push_back({slot.process_fd(), POLLIN, 0});
  const size_t admin_at = entries.size();
  entries.push_back({admin_ ? admin_->control_fd() : -1, POLLIN, 0});
  entries.push_back({reload_->planner_fd(), POLLIN, 0});
  entries.push_back({upgrade_check_.fd(), POLLIN, 0});
  const size_t control_begin = entries.size();
  control_->AppendPollEntries(entries);

  int timeout_ms = -1;
  if (const TimePoint deadline = NextDeadline(); deadline != kNever) {
    const TimePoint left = std::max<TimePoint>(deadline - MonotonicNow(), 0);
    timeout_ms = static_cast<int>(std::min<TimePoint>(left / 1'000'000 + 1, INT_MAX));
  }
  if (::poll(entries.data(), entries.size(), timeout_ms) <= 0) return;

  // Workers before signals: one that said ready and then died was ready.
  for (size_t i = 0; i < workers.size(); ++i) {
    if (entries[i + 1].revents == 0) continue;
    if (WorkerSlot* const slot = fleet_->FindByIndex(workers[i])) ReadControl(*slot);
  }
  ReapAdopted(workers, &entries[workers.size() + 1]);
  if (entries[admin_at].revents != 0) ReadControl(*admin_);
  if (entries[admin_at + 1].revents != 0) reload_->OnPlannerOutput();
  if (entries[admin_at + 2].revents != 0) upgrade_check_.Read();
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
    case SIGUSR1:
      RequestReload(number == SIGHUP ? "SIGHUP" : "SIGUSR1");
      return;
    case SIGUSR2:
      RequestUpgrade("SIGUSR2");
      return;
    default:
      log::Get().warn("{}: nothing is done for it", ::strsignal(number));
  }
}

void Master::ReapChildren() {
  while (true) {
    int wait_status = 0;
    const pid_t pid = ::waitpid(-1, &wait_status, WNOHANG);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) return;
    // Others are orphans that a container's first process inherits.
    if (WorkerSlot* const slot = fleet_->FindByPid(pid)) {
      OnWorkerExit(*slot, wait_status);
    } else if (admin_ && admin_->pid() == pid) {
      OnWorkerExit(*admin_, wait_status);
    } else if (upgrade_check_.running() && upgrade_check_.pid() == pid) {
      OnUpgradeChecked(upgrade_check_.Finish(wait_status).status());
    } else {
      reload_->OnChildExit(pid, wait_status, MonotonicNow());
    }
  }
}

void Master::OnWorkerExit(WorkerSlot& slot, int wait_status) {
  const TimePoint now = MonotonicNow();
  const pid_t pid = slot.pid();
  const bool is_admin = admin_ && &slot == &*admin_;
  if (!is_admin) inquiry_.OnGone(slot.index());
  // What it said before it died may still be in its control socket.
  ReadControl(slot);
  const bool stopping = stop_stage_ != StopStage::kNone || (!all_ready_ && !reload_->running());
  const std::string how = slot.DescribeEnd(wait_status);
  const std::string text = fmt::format("{} (pid {}) {}", slot.name(), pid, how);
  const bool left = wait_status == 0 && (slot.draining() || admin_renewed_);
  slot.OnExit(wait_status, now, stopping || (is_admin && admin_renewed_));
  if (stop_stage_ == StopStage::kNone) {
    if (left) {
      log::Get().debug("{} (pid {}) has left", slot.name(), pid);
    } else if (!all_ready_ && !reload_->running()) {
      FailStart(absl::AbortedError(fmt::format("{} before all workers were ready", text)));
    } else {
      log::Get().error("{}", text);
    }
  } else if (wait_status != 0) {
    log::Get().warn("{} while stopping", text);
  }
  if (is_admin) {
    RenewAdmin();
    return;
  }
  reload_->OnWorkerExit(slot, how, now);
  if (!slot.in_service()) fleet_->Forget(slot);
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
        OnKillAnswer(slot, packet->argument, /*killed=*/true);
        break;
      case ControlMessage::kNoConnection:
        OnKillAnswer(slot, packet->argument, /*killed=*/false);
        break;
      case ControlMessage::kHandedOver:
        reload_->OnHandedOver(slot, packet->argument, MonotonicNow());
        break;
      case ControlMessage::kHandoffBroken:
        reload_->OnHandoffBroken(slot, packet->argument, MonotonicNow());
        break;
      case ControlMessage::kReload:
        RequestReload(fmt::format("{} asks for it", slot.name()));
        break;
      default:
        break;
    }
  }
}

void Master::OnWorkerReady(WorkerSlot& slot) {
  log::Get().debug("{} (pid {}) is ready", slot.name(), slot.pid());
  if (stop_stage_ != StopStage::kNone) return;
  if (all_ready_ || reload_->running()) {
    reload_->OnReady(slot, MonotonicNow());
  } else if (adopting()) {
    BeginAdoption();  // it was the admin process
  } else if (AllReady()) {
    all_ready_ = true;
    OnAllReady();
  }
}

void Master::Tell(const absl::Status& told) {
  if (!told.ok()) log::Get().warn("{}", std::string(told.message()));
}

void Master::TellWhatServes() {
  Tell(manager_.Ready(fmt::format("generation {}, {} workers on {}", current_->number,
                                  current_->worker_count,
                                  fmt::join(listening_->Addresses(*current_->definition), ", "))));
  if (manager_.watchdog_interval()) watchdog_at_ = 0;
}

void Master::OnAllReady() {
  TellWhatServes();
  const std::string banner = Banner();
  if (!report_) {
    Say(banner + "ready\n");
  } else if (report_->Ready(banner + "ready\n")) {
    log::Get().info("{} {} ready: {} workers on {}", options().name, info_.version,
                    current_->worker_count,
                    fmt::join(listening_->Addresses(*current_->definition), ", "));
  } else {
    log::Get().warn("the start was interrupted; stopping");
    BeginStop(StopStage::kGraceful);
  }
}

bool Master::Changing() const {
  return !all_ready_ || reload_->running() || upgrade_check_.running() || upgrade_ready_;
}

void Master::RequestUpgrade(std::string_view why) {
  if (stop_stage_ != StopStage::kNone) {
    log::Get().warn("no upgrade ({}): the server is stopping", why);
  } else if (Changing() || admin_renewed_) {
    log::Get().info("an upgrade ({}) follows when what is under way has ended", why);
    upgrade_wanted_ = why;
  } else {
    upgrade_wanted_.clear();
    BeginUpgrade(why);
  }
}

void Master::RequestReload(std::string_view why) {
  if (stop_stage_ != StopStage::kNone) {
    log::Get().warn("no reload ({}): the server is stopping", why);
  } else if (Changing()) {
    log::Get().info("a reload ({}) follows when the one under way has ended", why);
    reload_wanted_ = why;
  } else {
    reload_wanted_.clear();
    Tell(manager_.Reloading(MonotonicNow(), fmt::format("reloading: {}", why)));
    reload_->Begin(why, MonotonicNow());
  }
}

void Master::OnReloadDone() {
  if (adopting()) return DescribeServer();
  const ServerOptions& now = options();
  if (const absl::Status status = log::Setup(now.log_level, now.log_format, now.log_file, "master");
      !status.ok()) {
    log::Get().error("the log stays where it is: {}", std::string(status.message()));
  }
  if (admin_server_ != nullptr) {
    admin_renewed_ = true;
    admin_->Tell(ControlMessage::kStop);
    admin_kill_at_ = MonotonicNow() + kStopNowTimeout.count();
  }
  if (!AdminRunning()) RenewAdmin();
  DescribeServer();
}

// The admin process of the former generation has ended: that of the present one takes its place.
void Master::RenewAdmin() {
  admin_kill_at_ = kNever;
  if (!admin_renewed_ && admin_server_ != nullptr) return;
  admin_renewed_ = false;
  if (stop_stage_ != StopStage::kNone) return;
  const ServerDefinition& server = *current_->definition;
  absl::Status status;
  if (HasAdmin(server)) {
    status = admin_listening_ == nullptr ? OpenAdmin() : ChangeAdmin();
    if (status.ok()) status = StartAdmin(current_);
  } else {
    admin_.reset();
    admin_server_.reset();
    admin_listening_.reset();
  }
  if (!status.ok()) log::Get().error("admin: {}", std::string(status.message()));
  DescribeServer();
}

void Master::OnTimers() {
  const TimePoint now = MonotonicNow();
  for (WorkerSlot& slot : fleet_->slots()) slot.OnTimer(now);
  reload_->OnTimer(now);
  if (adopting() && !start_failure_.ok() && stop_stage_ == StopStage::kNone) {
    FailStart(start_failure_);
  }
  if (upgrade_check_.deadline() <= now) upgrade_check_.OnTimer();
  if (!Changing() && !reload_wanted_.empty()) {
    RequestReload(std::string(reload_wanted_));
  } else if (!Changing() && !admin_renewed_ && !upgrade_wanted_.empty()) {
    RequestUpgrade(std::string(upgrade_wanted_));
  }
  if (upgrade_ready_ && stop_stage_ == StopStage::kNone && !control_->answering()) ExecuteUpgrade();
  if (now >= watchdog_at_) {
    Tell(manager_.Watchdog());
    watchdog_at_ = now + manager_.watchdog_interval()->count();
  }
  ContinueInquiry(now);
  GiveUpKills(now);
  if (admin_) admin_->OnTimer(now);
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
    for (WorkerSlot& slot : fleet_->slots()) {
      if (slot.running()) log::Get().error("worker {} hangs and is killed", slot.index());
      slot.Kill();
    }
    stop_stage_ = StopStage::kKilled;
  }
}

void Master::BeginStop(StopStage stage) {
  if (stage <= stop_stage_) return;
  if (!all_ready_ && start_failure_.ok()) {
    start_failure_ = absl::CancelledError("stopped before it was ready");
  }
  if (stop_stage_ == StopStage::kNone) {
    log::Get().debug("stopping");
    Tell(manager_.Stopping());
  }
  // Those that were found without a master stop with all others, unless the start has failed.
  first_.reset();
  adopted_.clear();
  upgrade_check_.Abandon();
  if (upgrade_ready_ || !upgrade_clients_.empty()) {
    EndUpgrade(absl::CancelledError("the server stops"));
  }
  stop_stage_ = stage;
  reload_->Cancel();
  // Our copies would keep the kernel queueing connections that nobody will ever accept.
  listening_.reset();
  const bool graceful = stage == StopStage::kGraceful;
  const TimePoint now = MonotonicNow();
  stop_deadline_ = now + (graceful ? options().stop_timeout : kStopNowTimeout).count();
  for (WorkerSlot& slot : fleet_->slots()) {
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
  LeaveOrphans();
  BeginStop(StopStage::kNow);
}

bool Master::AllReady() const {
  for (const WorkerSlot& slot : fleet_->slots()) {
    if (slot.in_service() && !slot.ready()) return false;
  }
  return admin_server_ == nullptr || (admin_ && admin_->ready());
}

TimePoint Master::NextDeadline() const {
  TimePoint deadline = std::min({stop_deadline_, admin_kill_at_, watchdog_at_, inquiry_.deadline(),
                                 reload_->deadline(), upgrade_check_.deadline()});
  if (upgrade_ready_ && !control_->answering()) return 0;
  if (admin_) deadline = std::min(deadline, admin_->deadline());
  for (const PendingKill& kill : kills_) deadline = std::min(deadline, kill.deadline);
  for (const WorkerSlot& slot : fleet_->slots()) deadline = std::min(deadline, slot.deadline());
  return deadline;
}

std::string Master::Banner() const {
  std::string text = fmt::format("{}{}{}, pid {}\n", options().name,
                                 info_.version.empty() ? "" : " ", info_.version, ::getpid());
  if (!info_.configuration.empty()) {
    text += fmt::format("  configuration  {}\n", info_.configuration);
  }
  const std::vector<std::string> addresses = listening_->Addresses(*current_->definition);
  for (const std::string& address : addresses) {
    text += fmt::format("  listening on   {}\n", address);
  }
  if (admin_listening_) {
    text += fmt::format("  admin          {}\n", admin_listening_->Addresses(*admin_server_)[0]);
  }
  text += fmt::format("  workers        {}\n", current_->worker_count);
  if (info_.summary) {
    text += info_.summary(addresses);
    if (!text.ends_with('\n')) text += '\n';
  }
  return text;
}

}  // namespace ringmaster
