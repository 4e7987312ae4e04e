#include <fmt/format.h>

#include <optional>
#include <set>

#include "engine/doctor/groups.h"

namespace ringmaster::doctor {
namespace {

// "cpu7", not "cpufreq".
bool IsNumbered(std::string_view name, std::string_view prefix) {
  return name.starts_with(prefix) && ToNumber(name.substr(prefix.size())).has_value();
}

void ExamineGovernor(const MachineFiles& machine, Findings& findings) {
  std::set<std::string> governors;
  for (const std::string& name : machine.List("/sys/devices/system/cpu")) {
    if (!IsNumbered(name, "cpu")) continue;
    const auto governor =
        machine.Read(fmt::format("/sys/devices/system/cpu/{}/cpufreq/scaling_governor", name));
    if (governor) governors.insert(*governor);
  }
  if (governors.empty()) {
    findings.Ok("cpu.governor", "the frequency is not this system's to set (a virtual machine)");
    return;
  }
  const std::string found = fmt::format("the frequency governor is {}", fmt::join(governors, ", "));
  if (governors == std::set<std::string>{"performance"}) {
    findings.Ok("cpu.governor", found);
    return;
  }
  findings.Add(
      Level::kNote, "cpu.governor", found,
      "A CPU that has idled is slow for the first milliseconds of a burst, and measurements "
      "vary.",
      "cpupower frequency-set -g performance (Debian: linux-cpupower)");
}

// The word in brackets: "always [madvise] never".
std::optional<std::string> Chosen(std::string_view choices) {
  const size_t begin = choices.find('[');
  const size_t end = choices.find(']', begin);
  if (begin == std::string_view::npos || end == std::string_view::npos) return std::nullopt;
  return std::string(choices.substr(begin + 1, end - begin - 1));
}

void ExamineHugePages(const MachineFiles& machine, Findings& findings) {
  const auto text = machine.Read("/sys/kernel/mm/transparent_hugepage/enabled");
  const std::optional<std::string> chosen = text ? Chosen(*text) : std::nullopt;
  if (!chosen) return;
  const std::string found = fmt::format("transparent huge pages: {}", *chosen);
  if (*chosen == "always") {
    findings.Add(
        Level::kNote, "cpu.huge_pages", found,
        "Memory of idle connections is spread thin, and each piece may hold 2 MiB; the kernel "
        "also stops a worker to compact memory.",
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled; for good, "
        "transparent_hugepage=madvise on the kernel's command line");
  } else {
    findings.Ok("cpu.huge_pages", found);
  }
}

void ExamineNodes(const MachineFiles& machine, Findings& findings) {
  size_t nodes = 0;
  for (const std::string& name : machine.List("/sys/devices/system/node")) {
    if (IsNumbered(name, "node")) ++nodes;
  }
  if (nodes == 0) return;
  if (nodes == 1) {
    findings.Ok("cpu.numa", "one memory node");
    return;
  }
  std::string cards;
  for (const std::string& name : machine.List("/sys/class/net")) {
    const auto node = machine.ReadNumber(fmt::format("/sys/class/net/{}/device/numa_node", name));
    if (node && *node >= 0) cards += fmt::format("; {} is at node {}", name, *node);
  }
  findings.Add(
      Level::kNote, "cpu.numa", fmt::format("{} memory nodes{}", nodes, cards),
      "A worker whose card or memory is at another node pays for each access; the workers of "
      "one instance share little, so an instance per node loses nothing.",
      "one instance a node: systemctl edit ringmaster@NAME, CPUAffinity= and NUMAPolicy=bind, "
      "NUMAMask= (deploy/cpu-pinning.md)");
}

void ExamineClock(const MachineFiles& machine, Findings& findings) {
  const auto clock =
      machine.Read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  if (!clock) return;
  const std::string found = fmt::format("the clock is {}", *clock);
  // Those that the vDSO reads without a system call.
  static const std::set<std::string> kFast = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page",
                                              "arch_sys_counter"};
  if (kFast.contains(*clock)) {
    findings.Ok("cpu.clock", found);
  } else {
    findings.Add(
        Level::kWarning, "cpu.clock", found,
        "Each turn of a worker reads the clock; this one takes a system call or a slow device, "
        "a microsecond and more each time.",
        "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource, if "
        "available_clocksource beside it lists it; else `dmesg | grep -i tsc` says why not");
  }
}

void ExamineIsolation(const MachineFiles& machine, const ServerPlan& plan, Findings& findings) {
  const std::string isolated = machine.Read("/sys/devices/system/cpu/isolated").value_or("");
  if (isolated.empty()) return;
  const std::string found = fmt::format("CPUs {} are isolated from the scheduler", isolated);
  if (plan.pin_workers) {
    findings.Ok("cpu.isolated", found);
  } else {
    findings.Add(
        Level::kWarning, "cpu.isolated", found,
        "The scheduler moves nothing between isolated CPUs: workers that are not pinned all "
        "stay on one.",
        "\"pin_workers\": true, with CPUAffinity= naming these CPUs (deploy/cpu-pinning.md)");
  }
}

}  // namespace

void ExamineProcessors(const MachineFiles& machine, const ServerPlan& plan, Findings& findings) {
  ExamineGovernor(machine, findings);
  ExamineHugePages(machine, findings);
  ExamineNodes(machine, findings);
  ExamineClock(machine, findings);
  ExamineIsolation(machine, plan, findings);
}

}  // namespace ringmaster::doctor
