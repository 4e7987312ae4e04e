#pragma once

#include <poll.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/process/connection_inquiry.h"
#include "engine/process/control_server.h"
#include "engine/process/daemonize.h"
#include "engine/process/fleet.h"
#include "engine/process/generation.h"
#include "engine/process/listening_sockets.h"
#include "engine/process/orphans.h"
#include "engine/process/pid_file.h"
#include "engine/process/planner.h"
#include "engine/process/program_info.h"
#include "engine/process/reload.h"
#include "engine/process/runtime_paths.h"
#include "engine/process/service_manager.h"
#include "engine/process/signals.h"
#include "engine/process/socket_activation.h"
#include "engine/process/worker_slot.h"
#include "engine/server.h"

namespace ringmaster {

struct MasterInheritance;

// Opens everything, starts the workers, watches over them, stops them. One thread, one poll(2)
// loop; a few events a day, so clarity first.
//
//     Open  pid file, descriptor limit, listening sockets, control socket, shared counters
//     Run   spawn all -> all ready -> "ready" -> serve, reload (reload.h) -> stop -> workers gone
//           -> admin gone
//
// Where workers serve on whose master is gone (orphans.h), it starts as a reload goes: they are the
// old generation. A start that fails leaves them as they were.
class Master {
 public:
  // Time between "close everything and leave" and SIGKILL.
  static constexpr Duration kStopNowTimeout = std::chrono::seconds(2);

  // What the process was started with besides its definition.
  struct Origin {
    std::optional<StartReport> report;  // of a daemon
    ServiceManager manager;
    ActivatedSockets activated;
  };

  // The references outlive the master.
  Master(const ServerDefinition& server, const ProgramInfo& info, RuntimePaths paths,
         std::vector<std::string> worker_arguments, Origin origin);

  // Until the last worker is gone. Errors: the start failed; nothing is left running.
  absl::Status Run();
  // The same for a program that has taken a running master's place. Errors of Resume: nothing was
  // touched, and the previous program can go on.
  absl::Status Resume(const MasterInheritance& inheritance);
  absl::Status RunResumed();

 private:
  enum class StopStage { kNone, kGraceful, kNow, kKilled };

  absl::Status Open();
  // Removes every trace, so that whoever hears of the failure may start again at once.
  absl::Status GiveUp(absl::Status reason);
  absl::Status StartWorkers();
  absl::Status OpenBlock();
  void MakeFleet();
  absl::Status ServeAndStop();
  absl::Status OpenAdmin();
  absl::Status ChangeAdmin();
  absl::Status StartAdmin(std::shared_ptr<const Generation> generation);
  absl::Status Loop();
  void Wait();
  void OnSignal(int number);
  void ReapChildren();
  void OnWorkerExit(WorkerSlot& slot, int wait_status);
  void ReadControl(WorkerSlot& slot);
  void OnWorkerReady(WorkerSlot& slot);
  void OnAllReady();
  void OnTimers();
  // Once the last worker is gone: health can be watched while they drain.
  void StopAdmin();
  // Begins one now, or after the one that is under way.
  void RequestReload(std::string_view why);
  void OnReloadDone();
  void DescribeServer();
  void RenewAdmin();
  void BeginStop(StopStage stage);
  // Tells the service manager, if there is one.
  void Tell(const absl::Status& told);
  void TellWhatServes();
  // Ends a start that cannot succeed; Run returns `reason`.
  void FailStart(absl::Status reason);
  bool AdminRunning() const { return admin_ && admin_->running(); }
  bool AllReady() const;
  // A start, a reload or an upgrade is under way.
  bool Changing() const;
  TimePoint NextDeadline() const;
  std::string Banner() const;
  const ServerOptions& options() const { return current_->definition->options; }

  // -- master_adoption.cc
  absl::Status OpenDoor();
  absl::Status FindOrphans();
  std::vector<FoundSocket> TakeFoundSockets();
  absl::Status AdoptOrphans();
  void BeginAdoption();
  void OnReloadEnded();
  // Who was adopted is not our child: its pidfd tells of its end, in an entry for each of
  // `workers`.
  void ReapAdopted(const std::vector<uint32_t>& workers, const pollfd* entries);
  // The start has failed, and they serve on for the next.
  void LeaveOrphans();
  bool adopting() const { return first_ != nullptr; }

  // -- master_upgrade.cc
  // Begins when nothing else is under way.
  void RequestUpgrade(std::string_view why);
  void BeginUpgrade(std::string_view why);
  void OnUpgradeChecked(absl::Status status);
  void EndUpgrade(const absl::Status& reason);
  void AnswerUpgrade(const std::string& answer);
  void ExecuteUpgrade();
  std::string SaveState(std::vector<int>& kept) const;
  absl::Status WriteState();
  void SetCloseOnExecEverywhere();

  // -- master_requests.cc: what the control socket asks
  std::optional<std::string> OnRequest(uint64_t client, std::string_view request);
  std::string OnStopRequest(StopStage stage);
  std::string OnReloadRequest();
  std::optional<std::string> OnUpgradeRequest(uint64_t client);
  std::string ReloadLog(std::string_view arguments) const;
  std::optional<std::string> OnKillRequest(uint64_t client, std::string_view id_text);
  void OnKillAnswer(const WorkerSlot& slot, uint64_t id, bool killed);
  void ContinueInquiry(TimePoint now);
  void GiveUpKills(TimePoint now);

  const ServerDefinition& server_;
  const ProgramInfo& info_;
  const RuntimePaths paths_;
  std::vector<std::string> worker_arguments_;
  std::optional<StartReport> report_;
  ServiceManager manager_;
  ActivatedSockets activated_;
  TimePoint watchdog_at_ = kNever;  // the next sign of life for the service manager

  // In this order: the last destroyed is the lock, so whoever gets it finds no trace of us.
  std::optional<PidFile> pid_file_;
  std::optional<ControlServer> control_;
  // Workers hold it, too; it is of use to those that are left when this master is gone.
  OrphanDoor door_;
  SignalQueue signals_;
  std::unique_ptr<ListeningSockets> listening_;
  std::shared_ptr<const Generation> current_;
  ConnectionInquiry inquiry_;
  std::optional<Fleet> fleet_;
  std::optional<Reload> reload_;
  std::unique_ptr<ServerDefinition> admin_server_;  // nullptr: there is no admin process
  std::unique_ptr<ListeningSockets> admin_listening_;
  // Who serve without a master, until each has a slot.
  struct FoundWorker {
    OrphanedWorker worker;
    UniqueFd inbox;
    UniqueFd report;
  };
  std::vector<FoundWorker> found_;
  // While workers are adopted: the generation of this start, that shall take their places.
  std::shared_ptr<Generation> first_;
  std::vector<WorkerSlot*> adopted_;
  std::optional<WorkerSlot> admin_;
  bool admin_renewed_ = false;  // it shall start again when it has ended
  TimePoint admin_kill_at_ = kNever;
  // `kill` commands that wait for workers: only one has the connection.
  struct PendingKill {
    uint64_t client;
    uint64_t id;
    std::vector<uint32_t> asked;  // who have not answered yet
    TimePoint deadline;
  };
  std::vector<PendingKill> kills_;
  uint64_t descriptor_limit_ = 0;
  Planner upgrade_check_;
  WorkerProgram next_program_;
  bool upgrade_ready_ = false;  // checked; executed as soon as those who asked have their answer
  std::vector<uint64_t> upgrade_clients_;
  std::string upgrade_wanted_;  // why, when one shall follow what is under way
  UniqueFd state_;
  std::vector<int> kept_;      // descriptors that the state names
  std::string reload_wanted_;  // why, when one shall follow the one under way

  // In the foreground of a terminal: when it is closed, the server ends as other programs do.
  const bool on_terminal_;
  bool daemon_ = false;
  bool all_ready_ = false;
  absl::Status start_failure_;
  StopStage stop_stage_ = StopStage::kNone;
  TimePoint stop_deadline_ = kNever;
};

// Whether this program understands the state that a running master has written. Errors: it is of
// another release.
absl::Status CheckMasterState(int state_fd);
// The program that was to take a master's place cannot: the previous one takes it back. Returns
// only when that is impossible, too.
void ReturnToPreviousProgram(const MasterInheritance& inheritance, std::string_view reason);

}  // namespace ringmaster
