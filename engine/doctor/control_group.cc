#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/doctor/groups.h"
#include "engine/process/cpu_affinity.h"
#include "engine/stats/human_units.h"

namespace ringmaster::doctor {
namespace {

// Directories of the unified hierarchy (v2) from this process's group up.
std::vector<std::string> Groups(const MachineFiles& machine) {
  std::vector<std::string> groups;
  const std::string text = machine.Read("/proc/self/cgroup").value_or("");
  const std::optional<std::string> path = CgroupPath(text, "");
  if (!path) return groups;
  std::string group = *path == "/" ? "" : *path;
  while (true) {
    groups.push_back("/sys/fs/cgroup" + group);
    if (group.empty()) return groups;
    group.erase(group.rfind('/'));
  }
}

// The least number that any group sets in `file`; "max" is none.
std::optional<int64_t> LeastBound(const MachineFiles& machine,
                                  const std::vector<std::string>& groups, std::string_view file) {
  std::optional<int64_t> least;
  for (const std::string& group : groups) {
    const std::optional<int64_t> bound = machine.ReadNumber(fmt::format("{}/{}", group, file));
    if (bound && (!least || *bound < *least)) least = bound;
  }
  return least;
}

void ExamineCpuBound(const MachineFiles& machine, const std::vector<std::string>& groups,
                     const ServerPlan& plan, Findings& findings) {
  std::optional<double> quota;
  for (const std::string& group : groups) {
    const std::optional<double> bound = ParseCpuMax(machine.Read(group + "/cpu.max").value_or(""));
    if (bound && (!quota || *bound < *quota)) quota = bound;
  }
  if (!quota) {
    findings.Ok("cgroup.cpu", "cpu.max sets no bound");
    return;
  }
  const std::string found =
      fmt::format("cpu.max grants {:.2f} CPUs to {} workers", *quota, plan.workers);
  if (plan.workers > std::ceil(*quota)) {
    findings.Add(
        Level::kWarning, "cgroup.cpu", found,
        "When the time of a period is used up all workers stand still until the next one: "
        "latency of tens of milliseconds.",
        fmt::format("\"workers\": {:.0f} or \"auto\", or a higher CPUQuota=", std::ceil(*quota)));
    return;
  }
  const std::string statistics = machine.Read(groups.front() + "/cpu.stat").value_or("");
  const std::optional<std::string_view> throttled = FindField(statistics, "nr_throttled");
  if (throttled && ToNumber(*throttled).value_or(0) > 0) {
    findings.Add(Level::kNote, "cgroup.cpu",
                 fmt::format("{}; {} periods were cut short", found, *throttled),
                 "In those periods everything in this group stood still.", "a higher CPUQuota=");
  } else {
    findings.Ok("cgroup.cpu", found);
  }
}

void ExamineMemoryBound(const MachineFiles& machine, const std::vector<std::string>& groups,
                        const ServerPlan& plan, Findings& findings) {
  std::optional<int64_t> bound = LeastBound(machine, groups, "memory.max");
  std::string name = "memory.max";
  if (!bound) {
    // Then the machine's own memory is the bound: "MemTotal:  4039420 kB".
    const std::string information = machine.Read("/proc/meminfo").value_or("");
    const std::string_view total = FindField(information, "MemTotal").value_or("");
    const std::optional<int64_t> kilobytes = ToNumber(total.substr(0, total.find(' ')));
    if (!kilobytes) return;
    bound = *kilobytes * 1024;
    name = "the machine's memory";
  }
  const uint64_t wanted = plan.buffered_bytes_hard * plan.workers;
  const std::string found =
      fmt::format("{} is {}; buffers of {} workers may take {}", name,
                  HumanBytes(static_cast<uint64_t>(*bound)), plan.workers,
                  plan.buffered_bytes_hard == 0 ? "what they like" : HumanBytes(wanted));
  if (plan.buffered_bytes_hard == 0 || wanted > static_cast<uint64_t>(*bound)) {
    findings.Add(
        Level::kWarning, "cgroup.memory", found,
        "Under slow readers the kernel would kill a worker before the server's own limit closes "
        "the fattest connections.",
        fmt::format(
            "\"limits\": {{\"buffered_bytes_hard\": \"{}MiB\"}} (a worker), or fewer workers",
            std::max<int64_t>(*bound / 2 / plan.workers >> 20, 1)));
  } else {
    findings.Ok("cgroup.memory", found);
  }
}

void ExaminePidsBound(const MachineFiles& machine, const std::vector<std::string>& groups,
                      const ServerPlan& plan, Findings& findings) {
  const std::optional<int64_t> bound = LeastBound(machine, groups, "pids.max");
  if (!bound) return;
  // A worker has its watchdog's thread, and io_uring starts threads for what would block (files);
  // twice, because a reload has two generations. Master and admin process are in the 16.
  const int64_t needed = int64_t{plan.workers} * 2 * 8 + 16;
  const std::string found =
      fmt::format("pids.max is {}; {} workers may need {} tasks, with a reload under way", *bound,
                  plan.workers, needed);
  if (*bound < needed) {
    findings.Add(Level::kWarning, "cgroup.pids", found,
                 "A worker that cannot be forked is missing; without threads file reads wait.",
                 "systemd: TasksMax= in the unit; a container: --pids-limit");
  } else {
    findings.Ok("cgroup.pids", found);
  }
}

}  // namespace

void ExamineControlGroup(const MachineFiles& machine, const ServerPlan& plan, Findings& findings) {
  const std::vector<std::string> groups = Groups(machine);
  if (!groups.empty()) ExamineCpuBound(machine, groups, plan, findings);
  ExamineMemoryBound(machine, groups, plan, findings);
  if (!groups.empty()) ExaminePidsBound(machine, groups, plan, findings);
}

}  // namespace ringmaster::doctor
