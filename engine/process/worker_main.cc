#include "engine/process/worker_main.h"

#include <fmt/format.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/log.h"
#include "engine/limits/shared_limits.h"
#include "engine/process/admin_server.h"
#include "engine/process/runtime_paths.h"
#include "engine/process/start_priority.h"
#include "engine/stats/shared_status.h"
#include "engine/worker/worker_environment.h"

namespace ringmaster {
namespace {

std::string NameOf(const WorkerInheritance& role) {
  return role.admin ? "admin" : fmt::format("worker {}", role.index);
}

int FailAs(const WorkerInheritance& role, std::string_view reason) {
  std::fputs(fmt::format("error: {}: {}\n", NameOf(role), reason).c_str(), stderr);
  return 1;
}

absl::Status CallOnWorkerOpen(const ServerDefinition& server) {
  if (!server.on_worker_open) return absl::OkStatus();
  try {
    return server.on_worker_open();
  } catch (const std::exception& exception) {
    return absl::InternalError(exception.what());
  }
}

// `top` and `perf` show it (15 bytes); `ps` shows argv[0], which the master chose.
void SetThreadName(const ServerOptions& options, const WorkerInheritance& role) {
  const std::string name = role.admin
                               ? fmt::format("{}/admin", options.name.substr(0, 9))
                               : fmt::format("{}/{}", options.name.substr(0, 11), role.index);
  ::prctl(PR_SET_NAME, name.c_str());
}

// Each listener has a socket, and there is none of another.
bool ListenersMatch(const WorkerInheritance& role, size_t listener_count) {
  std::vector<bool> served(listener_count);
  for (const ListeningSocket& socket : role.listening_sockets) {
    if (socket.listener >= listener_count) return false;
    served[socket.listener] = true;
  }
  return std::find(served.begin(), served.end(), false) == served.end();
}

int AdminMain(ServerDefinition& server, const WorkerInheritance& role) {
  SharedBlock& block = *SharedStatus::Get();
  if (block.admin_slot() == nullptr || !HasAdmin(server) || role.listening_sockets.size() != 1) {
    return FailAs(role, "the program defines no admin listener here and one in the master");
  }
  ApplyAdminTokenVariable(server.options);
  ::unsetenv(kAdminTokenVariable);
  const absl::StatusOr<RuntimePaths> paths = FindRuntimePaths(server.options);
  if (!paths.ok()) return FailAs(role, std::string(paths.status().message()));
  const absl::StatusOr<std::unique_ptr<ServerDefinition>> admin = DefineAdminServer(server, *paths);
  if (!admin.ok()) return FailAs(role, std::string(admin.status().message()));
  WorkerEnvironment environment;
  environment.index = role.index;
  environment.generation = role.generation;
  environment.connection_prefix = role.connection_prefix;
  environment.admin = true;
  environment.control_fd = role.control_fd;
  environment.listening_sockets = role.listening_sockets;
  environment.counters = &block.admin_slot()->counters;
  return RunWorker(**admin, environment);
}

}  // namespace

int WorkerMain(ServerDefinition& server, const WorkerInheritance& role) {
  const ServerOptions& options = server.options;
  SetThreadName(options, role);
  absl::Status status =
      log::Setup(options.log_level, options.log_format, options.log_file, NameOf(role));
  if (!status.ok()) return FailAs(role, std::string(status.message()));
  absl::StatusOr<std::unique_ptr<SharedBlock>> block = SharedBlock::Map(UniqueFd(role.shared_fd));
  if (!block.ok()) return FailAs(role, std::string(block.status().message()));
  SharedStatus::Set(std::move(*block));
  // In front of the application's code, and of giving up the right to.
  if (role.nice) {
    if (status = ReturnToNice(*role.nice); !status.ok()) {
      return FailAs(role, std::string(status.message()));
    }
  }
  if (role.admin) return AdminMain(server, role);
  if (role.index >= SharedStatus::Get()->slot_count() ||
      !ListenersMatch(role, server.listeners().size())) {
    return FailAs(role,
                  "the program defines other listeners here than in the master; what stands "
                  "before Main must come out the same in both");
  }
  std::unique_ptr<SharedLimits> limits;
  if (role.limits_fd >= 0) {
    absl::StatusOr<std::unique_ptr<SharedLimits>> mapped =
        SharedLimits::Map(UniqueFd(role.limits_fd), server);
    if (!mapped.ok()) return FailAs(role, std::string(mapped.status().message()));
    limits = *std::move(mapped);
  }
  if (status = CallOnWorkerOpen(server); !status.ok()) {
    return FailAs(role, fmt::format("on_worker_open: {}", std::string(status.message())));
  }
  if (role.connections_max > 0) server.options.worker_connections_max = role.connections_max;

  WorkerEnvironment environment;
  environment.index = role.index;
  environment.generation = role.generation;
  environment.connection_prefix = role.connection_prefix;
  environment.standby = role.standby;
  environment.control_fd = role.control_fd;
  environment.report_fd = role.report_fd;
  environment.inbox_fd = role.inbox_fd;
  environment.door_fd = role.door_fd;
  environment.listening_sockets = role.listening_sockets;
  environment.counters = &SharedStatus::Get()->slot(role.index).counters;
  environment.limits = limits.get();
  environment.pulse = &SharedStatus::Get()->slot(role.index).pulse;
  environment.cpu = role.cpu;
  return RunWorker(server, environment);
}

}  // namespace ringmaster
