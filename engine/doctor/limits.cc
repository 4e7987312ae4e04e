#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "engine/doctor/groups.h"
#include "engine/process/resource_limits.h"
#include "engine/stats/human_units.h"

namespace ringmaster::doctor {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();
constexpr int kIpcLockBit = 14;  // CAP_IPC_LOCK, capabilities(7)

// The hard limit, of /proc/self/limits: "Max open files   1024   4096   files".
std::optional<uint64_t> HardLimit(std::string_view limits, std::string_view name) {
  for (std::string_view line : SplitLines(limits)) {
    if (!line.starts_with(name)) continue;
    const std::vector<std::string_view> words = SplitWords(line.substr(name.size()));
    if (words.size() < 2) return std::nullopt;
    if (words[1] == "unlimited") return kUnlimited;
    const std::optional<int64_t> number = ToNumber(words[1]);
    if (!number || *number < 0) return std::nullopt;
    return static_cast<uint64_t>(*number);
  }
  return std::nullopt;
}

constexpr const char* kDescriptorRemedy =
    "systemd: LimitNOFILE=1048576 in the unit; else \"ringmaster hard nofile 1048576\" in "
    "/etc/security/limits.d/ringmaster.conf";

void ExamineDescriptors(uint64_t limit, const ServerPlan& plan, Findings& findings) {
  const absl::StatusOr<uint32_t> connections =
      WorkerConnectionsMax(plan.worker_connections_max, limit, plan.listener_count);
  // The master raises the soft limit itself; the hard one is what counts.
  if (!connections.ok()) {
    findings.Add(Level::kError, "limits.nofile",
                 fmt::format("RLIMIT_NOFILE (hard) is {}: {}", limit,
                             std::string(connections.status().message())),
                 "Each connection is a descriptor; the server refuses to start.",
                 kDescriptorRemedy);
    return;
  }
  const std::string found =
      fmt::format("RLIMIT_NOFILE (hard) is {}: {} connections a worker, {} in all", limit,
                  *connections, uint64_t{*connections} * plan.workers);
  // What a system without a limit of its own gives since systemd 240 is half a million; the
  // kernel's own is 4096. Whoever asked for a number has it.
  if (plan.worker_connections_max == 0 && *connections < 16 * 1024) {
    findings.Add(Level::kWarning, "limits.nofile", found,
                 "A worker that is full stops accepting; new clients wait until others leave.",
                 kDescriptorRemedy);
  } else {
    findings.Ok("limits.nofile", found);
  }
}

void ExamineLockedMemory(const MachineFiles& machine, uint64_t limit, const ServerPlan& plan,
                         Findings& findings) {
  // Twice: a reload has two generations at a time.
  const uint64_t needed = 2 * LockedBytesEstimate(plan.ring) * plan.workers;
  const std::string found = fmt::format(
      "RLIMIT_MEMLOCK is {}; {} workers need about {}, with a reload under way",
      limit == kUnlimited ? "unlimited" : HumanBytes(limit), plan.workers, HumanBytes(needed));
  const std::string status = machine.Read("/proc/self/status").value_or("");
  uint64_t capabilities = 0;
  if (const std::optional<std::string_view> effective = FindField(status, "CapEff")) {
    std::from_chars(effective->data(), effective->data() + effective->size(), capabilities, 16);
  }
  const bool exempt = (capabilities >> kIpcLockBit & 1) != 0;
  if (limit >= needed) {
    findings.Ok("limits.memlock", found);
    return;
  }
  findings.Add(
      exempt ? Level::kNote : Level::kWarning, "limits.memlock", found,
      exempt ? "This user has CAP_IPC_LOCK and is not counted; the service's user will be."
             : "The kernel counts rings as locked memory, summed over all processes of a "
               "user; workers get smaller rings, or do not start.",
      "systemd: LimitMEMLOCK=infinity in the unit; else \"ringmaster hard memlock unlimited\" "
      "in /etc/security/limits.d/ringmaster.conf");
}

void ExamineSystemWide(const MachineFiles& machine, const ServerPlan& plan, Findings& findings) {
  const uint64_t per_worker =
      plan.worker_connections_max == 0 ? 16 * 1024 : plan.worker_connections_max;
  const std::optional<int64_t> nr_open = machine.ReadNumber("/proc/sys/fs/nr_open");
  if (nr_open) {
    const std::string found = fmt::format("fs.nr_open is {}", *nr_open);
    if (static_cast<uint64_t>(std::max<int64_t>(*nr_open, 0)) < per_worker + 1024) {
      findings.Add(Level::kWarning, "limits.nr_open", found,
                   "No process can have a higher RLIMIT_NOFILE than this.",
                   "sysctl -w fs.nr_open=1048576 (deploy/sysctl/90-ringmaster.conf)");
    } else {
      findings.Ok("limits.nr_open", found);
    }
  }
  const std::optional<int64_t> file_max = machine.ReadNumber("/proc/sys/fs/file-max");
  if (file_max) {
    const std::string found = fmt::format("fs.file-max is {}", *file_max);
    if (static_cast<uint64_t>(std::max<int64_t>(*file_max, 0)) < per_worker * plan.workers * 2) {
      findings.Add(
          Level::kWarning, "limits.file_max", found,
          "The whole machine's open files: when they are used up, every program on it fails "
          "(ENFILE).",
          "sysctl -w fs.file-max=9223372036854775807, the default of current kernels");
    } else {
      findings.Ok("limits.file_max", found);
    }
  }
}

}  // namespace

void ExamineLimits(const MachineFiles& machine, const ServerPlan& plan, Findings& findings) {
  const std::string limits = machine.Read("/proc/self/limits").value_or("");
  if (const std::optional<uint64_t> files = HardLimit(limits, "Max open files")) {
    ExamineDescriptors(*files, plan, findings);
  }
  if (const std::optional<uint64_t> locked = HardLimit(limits, "Max locked memory")) {
    ExamineLockedMemory(machine, *locked, plan, findings);
  }
  ExamineSystemWide(machine, plan, findings);
}

}  // namespace ringmaster::doctor
