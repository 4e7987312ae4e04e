#include "engine/process/worker_main.h"

#include <fmt/format.h>
#include <sys/prctl.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/log.h"
#include "engine/stats/shared_status.h"
#include "engine/worker/worker_environment.h"

namespace ringmaster {
namespace {

int Fail(uint32_t index, std::string_view reason) {
  std::fputs(fmt::format("error: worker {}: {}\n", index, reason).c_str(), stderr);
  return 1;
}

}  // namespace

int WorkerMain(ServerDefinition& server, const WorkerInheritance& role) {
  const ServerOptions& options = server.options;
  // `ps` shows argv[0], which the master chose; `top` and `perf` show this (15 bytes).
  ::prctl(PR_SET_NAME, fmt::format("{}/{}", options.name.substr(0, 11), role.index).c_str());
  absl::Status status = log::Setup(options.log_level, options.log_format, options.log_file,
                                   fmt::format("worker {}", role.index));
  if (!status.ok()) return Fail(role.index, std::string(status.message()));
  absl::StatusOr<std::unique_ptr<SharedBlock>> block = SharedBlock::Map(UniqueFd(role.shared_fd));
  if (!block.ok()) return Fail(role.index, std::string(block.status().message()));
  SharedStatus::Set(std::move(*block));
  if (role.index >= SharedStatus::Get()->slot_count() ||
      role.listening_fds.size() != server.listeners().size()) {
    return Fail(
        role.index,
        fmt::format("the program defines {} listeners here and {} in the master; what stands "
                    "before Main must come out the same in both",
                    server.listeners().size(), role.listening_fds.size()));
  }
  if (role.connections_max > 0) server.options.worker_connections_max = role.connections_max;

  WorkerEnvironment environment;
  environment.index = role.index;
  environment.control_fd = role.control_fd;
  environment.report_fd = role.report_fd;
  environment.listening_fds = role.listening_fds;
  environment.counters = &SharedStatus::Get()->slot(role.index).counters;
  environment.pulse = &SharedStatus::Get()->slot(role.index).pulse;
  environment.cpu = role.cpu;
  return RunWorker(server, environment);
}

}  // namespace ringmaster
