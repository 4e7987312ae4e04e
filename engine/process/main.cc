#include "engine/process/main.h"

#include <fmt/format.h>

#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/log.h"
#include "engine/doctor/doctor.h"
#include "engine/process/admin_server.h"
#include "engine/process/command_failure.h"
#include "engine/process/command_line.h"
#include "engine/process/connections_command.h"
#include "engine/process/control_client.h"
#include "engine/process/daemonize.h"
#include "engine/process/master.h"
#include "engine/process/master_inheritance.h"
#include "engine/process/orphan_commands.h"
#include "engine/process/pid_file.h"
#include "engine/process/planner.h"
#include "engine/process/reload_command.h"
#include "engine/process/runtime_paths.h"
#include "engine/process/status_watch.h"
#include "engine/process/worker_inheritance.h"
#include "engine/process/worker_main.h"
#include "engine/sandbox/sandbox.h"

namespace ringmaster {
namespace {

// Not fmt::print: it throws where the stream's other end is gone.
template <typename... Arguments>
void Say(std::FILE* stream, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  std::fputs(fmt::format(format, std::forward<Arguments>(arguments)...).c_str(), stream);
}

std::string_view ProgramName(const char* path) {
  const std::string_view name = path == nullptr ? "PROGRAM" : path;
  return name.substr(name.rfind('/') + 1);
}

int PrintHelp(std::string_view program, const ProgramInfo& info) {
  const std::string argument = info.argument.empty() ? "" : fmt::format(" [{}]", info.argument);
  if (!info.description.empty()) Say(stdout, "{}\n\n", info.description);
  Say(stdout,
      "usage: {} COMMAND [OPTIONS]{}\n\n"
      "  start            run the server in the foreground; Ctrl-C stops it\n"
      "  start -d         run it as a daemon; returns when it is ready (--daemon)\n"
      "  stop             stop it gracefully and wait until it is gone; --now: at once\n"
      "  restart [-d]     stop it if it runs, then start it\n"
      "  reload           replace all workers: new program, new configuration, no connection lost\n"
      "  reload --wait    the same, shown step by step; exit status 1 when it was abandoned\n"
      "  upgrade [--wait] replace the master's own program, too: same pid, same sockets; then "
      "reload\n"
      "  status           show workers and figures; exit status 3 when it does not run\n"
      "  status --json    the same with every counter, for programs\n"
      "  status --watch [SECONDS]\n"
      "                   a live view with rates, every second; q ends it; with --json a line "
      "each\n"
      "  connections      list the connections: --sort KEY, --top N, --worker N, --peer CIDR,\n"
      "                   --protocol NAME, --state S, --min-idle D, --min-age D, --min-queue "
      "SIZE;\n"
      "                   --json for programs\n"
      "  kill ID...       close connections, by their ids in that list\n"
      "  check            check the configuration; nothing is started\n"
      "  doctor           examine the machine: kernel, limits, sysctls, network, CPUs; --json\n"
      "  -h, --help       this text\n"
      "  -V, --version    the version\n\n"
      "Signals to the master: SIGTERM and SIGQUIT stop gracefully; SIGINT too, a second one at "
      "once.\nSIGUSR1 and SIGHUP reload; SIGUSR2 replaces the master's own program.\n",
      program, argument);
  if (!info.help.empty()) Say(stdout, "\n{}\n", fmt::join(info.help, "\n"));
  return 0;
}

absl::Status Validate(const ServerDefinition& server, const ProgramInfo& info,
                      const RuntimePaths& paths) {
  if (info.validate) {
    if (absl::Status status = info.validate(); !status.ok()) return status;
  }
  if (absl::Status status = server.Validate(); !status.ok()) return status;
  if (server.listeners().empty()) {
    return absl::InvalidArgumentError("the server has no listener: nobody could connect to it");
  }
  if (server.options.workers > kWorkersMax) {
    return absl::InvalidArgumentError(
        fmt::format("{} workers are asked for; at most {}", server.options.workers, kWorkersMax));
  }
  if (HasAdmin(server)) {
    const auto admin = DefineAdminServer(server, paths);
    if (!admin.ok()) return admin.status();
  }
  const ServerOptions& options = server.options;
  if (absl::Status status = CheckSandbox(options); !status.ok()) return status;
  return log::Setup(options.log_level, options.log_format, "", "check");
}

int Check(const ServerDefinition& server, const ProgramInfo& info, const RuntimePaths& paths) {
  if (const absl::Status status = Validate(server, info, paths); !status.ok()) return Fail(status);
  Say(stdout, "{}: ok, {} listener{}\n",
      info.configuration.empty() ? server.options.name : info.configuration,
      server.listeners().size(), server.listeners().size() == 1 ? "" : "s");
  return 0;
}

int Start(ServerDefinition& server, const ProgramInfo& info, const RuntimePaths& paths, bool daemon,
          std::vector<std::string> worker_arguments) {
  const ServerOptions& options = server.options;
  if (const absl::Status status = Validate(server, info, paths); !status.ok()) return Fail(status);
  Master::Origin origin;
  absl::StatusOr<ServiceManager> manager = ServiceManager::TakeFromEnvironment();
  if (!manager.ok()) return Fail(manager.status());
  origin.manager = *std::move(manager);
  absl::StatusOr<ActivatedSockets> activated = ActivatedSockets::TakeFromEnvironment();
  if (!activated.ok()) return Fail(activated.status());
  origin.activated = *std::move(activated);
  std::optional<StartReport>& report = origin.report;
  if (daemon) {
    absl::StatusOr<DaemonFork> fork = Daemonize(options.log_file);
    if (!fork.ok()) return Fail(fork.status());
    if (!fork->report) return fork->exit_status;
    report = std::move(fork->report);
  }
  absl::Status status =
      log::Setup(options.log_level, options.log_format, options.log_file, "master");
  if (!status.ok()) {
    if (!report) return Fail(status);
    report->Failed(std::string(status.message()));
    return kFailed;
  }
  Master master(server, info, paths, std::move(worker_arguments), std::move(origin));
  status = master.Run();
  if (status.ok()) return 0;
  if (daemon) {
    log::Get().error("{}", std::string(status.message()));
    return kFailed;
  }
  return Fail(status);
}

// This program has taken the place of the one that was the master until now.
int TakeOver(ServerDefinition& server, const ProgramInfo& info, const RuntimePaths& paths,
             std::vector<std::string> worker_arguments, const MasterInheritance& inheritance) {
  const ServerOptions& options = server.options;
  absl::Status status = Validate(server, info, paths);
  if (status.ok()) {
    status = log::Setup(options.log_level, options.log_format, options.log_file, "master");
  }
  Master::Origin origin;
  if (absl::StatusOr<ServiceManager> manager = ServiceManager::TakeFromEnvironment();
      manager.ok()) {
    origin.manager = *std::move(manager);
  }
  Master master(server, info, paths, std::move(worker_arguments), std::move(origin));
  if (status.ok()) status = master.Resume(inheritance);
  if (!status.ok()) {
    ReturnToPreviousProgram(inheritance, std::string(status.message()));
    return Fail(status);
  }
  ::close(inheritance.state_fd);
  ::close(inheritance.previous_fd);
  status = master.RunResumed();
  return status.ok() ? 0 : Fail(status);
}

// The master answers with the seconds after which it will be gone whatever its workers do.
absl::StatusOr<Duration> AskToStop(const RuntimePaths& paths, pid_t pid, bool now) {
  const absl::StatusOr<std::string> answer =
      AskMaster(paths.control_socket, now ? "stop now" : "stop", kAnswerTimeout);
  if (!answer.ok()) {
    // The control socket's file may have been swept away; the lock still says who it is.
    if (::kill(pid, SIGTERM) != 0) return answer.status();
    return std::chrono::seconds(60);
  }
  int64_t seconds = 0;
  const std::string_view digits = std::string_view(*answer).substr(3);
  std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
  return std::chrono::seconds(seconds + 3);
}

int Stop(const ServerDefinition& server, const RuntimePaths& paths, pid_t pid, bool now) {
  const absl::StatusOr<Duration> within = AskToStop(paths, pid, now);
  if (!within.ok()) return Fail(within.status());
  if (const absl::Status status = WaitForExit(pid, *within); !status.ok()) return Fail(status);
  Say(stdout, "{} stopped (pid {})\n", server.options.name, pid);
  return 0;
}

int Status(const RuntimePaths& paths, bool json) {
  const absl::StatusOr<std::string> answer =
      AskMaster(paths.control_socket, json ? "status json" : "status", kAnswerTimeout);
  if (!answer.ok()) return Fail(answer.status());
  std::fwrite(answer->data(), 1, answer->size(), stdout);
  return 0;
}

int Watch(const RuntimePaths& paths, Duration interval, bool json) {
  const absl::Status status = WatchStatus(paths.control_socket, interval, json);
  if (status.ok()) return 0;
  return Fail(std::string(status.message()),
              absl::IsFailedPrecondition(status) ? kWrongUsage : kFailed);
}

// Of a server that has no master; workers may serve on without it (orphans.h).
int WithoutMaster(const ServerDefinition& server, const RuntimePaths& paths,
                  const CommandLine& line) {
  const std::string& name = server.options.name;
  std::string state = fmt::format("is not running (pid file {})", paths.pid_file);
  if (line.command == Command::kStop) {
    const absl::StatusOr<uint32_t> stopped =
        StopOrphans(paths, server.options.stop_timeout, line.now);
    if (!stopped.ok()) return Fail(stopped.status());
    if (*stopped > 0) {
      Say(stdout, "{} stopped ({} worker{} whose master was gone)\n", name, *stopped,
          *stopped == 1 ? "" : "s");
      return 0;
    }
  } else if (const OrphanSurvey survey = SurveyOrphans(paths); survey.workers > 0) {
    state = DescribeOrphans(survey);
  }
  const bool asks = line.command == Command::kStatus || line.command == Command::kConnections;
  return Fail(fmt::format("{} {}", name, state), asks ? kNotRunning : kFailed);
}

int Control(const ServerDefinition& server, const RuntimePaths& paths, const CommandLine& line) {
  const absl::StatusOr<std::optional<pid_t>> holder = FindPidFileHolder(paths.pid_file);
  if (!holder.ok()) return Fail(holder.status());
  if (!holder->has_value()) return WithoutMaster(server, paths, line);
  if (line.watch) return Watch(paths, *line.watch, line.json);
  if (line.command == Command::kConnections) return ConnectionsCommand(paths.control_socket, line);
  if (line.command == Command::kKill) return KillCommand(paths.control_socket, line);
  if (line.command == Command::kUpgrade) return UpgradeCommand(paths.control_socket, line.wait);
  if (line.command == Command::kReload) return ReloadCommand(paths.control_socket, line.wait);
  return line.command == Command::kStop ? Stop(server, paths, **holder, line.now)
                                        : Status(paths, line.json);
}

// The first step of a reload, in a process that the running master has started.
int PlanMain(ServerDefinition& server, const ProgramInfo& info, const PlannerInheritance& role) {
  ApplyAdminTokenVariable(server.options);
  const absl::StatusOr<RuntimePaths> paths = FindRuntimePaths(server.options);
  if (!paths.ok()) return Fail(paths.status());
  absl::Status status = Validate(server, info, *paths);
  if (status.ok() && role.state_fd >= 0) status = CheckMasterState(role.state_fd);
  if (status.ok()) status = WritePlanTo(role.plan_fd, server, info.version);
  return status.ok() ? 0 : Fail(status);
}

}  // namespace

int Main(ServerDefinition& server, int argc, char** argv, const ProgramInfo& info) {
  const absl::StatusOr<const WorkerInheritance*> role = InheritedRole();
  if (!role.ok()) return Fail(role.status());
  if (*role != nullptr) return WorkerMain(server, **role);

  const absl::StatusOr<const PlannerInheritance*> planner = PlannerRole();
  if (!planner.ok()) return Fail(planner.status());
  if (*planner != nullptr) return PlanMain(server, info, **planner);
  const absl::StatusOr<const MasterInheritance*> master = InheritedMaster();
  if (!master.ok()) return Fail(master.status());

  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const std::string_view program = ProgramName(argc > 0 ? argv[0] : nullptr);
  const absl::StatusOr<CommandLine> line = ParseCommandLine(arguments, !info.argument.empty());
  if (!line.ok()) {
    Say(stderr, "error: {}\nTry \"{} --help\".\n", std::string(line.status().message()), program);
    return kWrongUsage;
  }
  if (line->command == Command::kHelp) return PrintHelp(program, info);
  if (line->command == Command::kVersion) {
    Say(stdout, "{} {}\n", server.options.name,
        info.version.empty() ? "(no version)" : info.version);
    return 0;
  }
  ApplyAdminTokenVariable(server.options);
  const absl::StatusOr<RuntimePaths> paths = FindRuntimePaths(server.options);
  if (!paths.ok()) return Fail(paths.status());
  if (*master != nullptr) {
    return TakeOver(server, info, *paths, info.worker_arguments.value_or(arguments), **master);
  }
  if (line->command == Command::kCheck) return Check(server, info, *paths);
  if (line->command == Command::kDoctor) return doctor::DoctorCommand(server, *paths, line->json);
  if (line->command == Command::kRestart) {
    const absl::StatusOr<std::optional<pid_t>> holder = FindPidFileHolder(paths->pid_file);
    if (!holder.ok()) return Fail(holder.status());
    // What cannot start shall not be stopped.
    if (const absl::Status sound = Validate(server, info, *paths); !sound.ok()) return Fail(sound);
    if (holder->has_value()) {
      if (const int failed = Stop(server, *paths, **holder, /*now=*/false)) return failed;
    }
  }
  if (line->command == Command::kStart || line->command == Command::kRestart) {
    return Start(server, info, *paths, line->daemon, info.worker_arguments.value_or(arguments));
  }
  return Control(server, *paths, *line);
}

}  // namespace ringmaster
