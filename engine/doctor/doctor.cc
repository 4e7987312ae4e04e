#include "engine/doctor/doctor.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "engine/base/write_all.h"
#include "engine/doctor/groups.h"
#include "engine/doctor/report.h"
#include "engine/process/cpu_affinity.h"
#include "engine/process/exit_status.h"
#include "engine/ring/kernel_ring.h"

namespace ringmaster::doctor {
namespace {

// The directory that exists now: `start` makes the default one in it.
std::string DirectoryToWrite(const RuntimePaths& paths) {
  std::string directory = paths.pid_file.substr(0, paths.pid_file.rfind('/'));
  if (directory.empty()) directory = "/";
  if (!paths.directory.empty() && ::access(directory.c_str(), F_OK) != 0) {
    directory = directory.substr(0, directory.rfind('/'));
  }
  return directory.empty() ? "/" : directory;
}

}  // namespace

ServerPlan PlanOf(const ServerDefinition& server, const RuntimePaths& paths) {
  const ServerOptions& options = server.options;
  ServerPlan plan;
  plan.workers =
      options.workers > 0 ? options.workers : DefaultWorkerCount(AllowedCpus().size(), CpuQuota());
  plan.pin_workers = options.pin_workers;
  plan.worker_connections_max = options.worker_connections_max;
  plan.listener_count = server.listeners().size();
  plan.backlog_max = 0;
  for (const auto& listener : server.listeners()) {
    plan.backlog_max = std::max(plan.backlog_max, listener->backlog);
  }
  plan.buffered_bytes_hard = options.buffered_bytes_hard;
  plan.ring.sq_entries = options.ring_entries;
  plan.ring.cq_entries = options.ring_entries * 4;
  plan.ring.buffer_count = options.receive_buffer_count;
  plan.ring.buffer_bytes = options.receive_buffer_bytes;
  if (paths.pid_file.find('/') != std::string::npos)
    plan.runtime_directory = DirectoryToWrite(paths);
  plan.log_file = options.log_file;
  return plan;
}

RingProbe TryRing(const RingOptions& options) {
  const absl::StatusOr<std::unique_ptr<KernelRing>> ring = KernelRing::Create(options);
  if (!ring.ok()) return {false, std::string(ring.status().message())};
  return {true, std::string((*ring)->description())};
}

Findings Examine(const MachineFiles& machine, const ServerPlan& plan, const RingProbe& probe) {
  Findings findings;
  ExamineKernel(machine, probe, findings);
  ExamineLimits(machine, plan, findings);
  ExamineNetworkSysctls(machine, plan, findings);
  ExamineNetworkQueues(machine, plan, findings);
  ExamineProcessors(machine, plan, findings);
  ExamineControlGroup(machine, plan, findings);
  ExamineSurroundings(machine, plan, findings);
  return findings;
}

int DoctorCommand(const ServerDefinition& server, const RuntimePaths& paths, bool json) {
  const ServerPlan plan = PlanOf(server, paths);
  const Findings findings = Examine(MachineFiles(), plan, TryRing(plan.ring));
  // https://no-color.org
  const char* no_color = std::getenv("NO_COLOR");
  const bool color = ::isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || no_color[0] == '\0');
  const std::string report = json ? ReportJson(findings) : ReportText(findings, color);
  if (!WriteAll(STDOUT_FILENO, report)) return kFailed;
  return ExitStatus(findings);
}

}  // namespace ringmaster::doctor
