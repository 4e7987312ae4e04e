#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/doctor/groups.h"

namespace ringmaster::doctor {
namespace {

constexpr const char* kGuide = "deploy/cpu-pinning.md";

struct Card {
  std::string name;
  size_t receive_queues = 0;
  bool spread_by_kernel = false;        // receive packet steering (RPS) on every receive queue
  std::vector<std::string> interrupts;  // numbers
};

bool HasBits(std::string_view mask) {
  return mask.find_first_not_of("0,\n ") != std::string_view::npos;
}

// A mask of all CPUs as the kernel takes it: groups of 32 bits, no bit beyond the last CPU.
std::string MaskOfAll(size_t cpus) {
  const size_t rest = cpus % 32;
  std::string mask = rest == 0 ? "" : fmt::format("{:x}", (uint64_t{1} << rest) - 1);
  for (size_t i = 0; i < cpus / 32; ++i) mask += mask.empty() ? "ffffffff" : ",ffffffff";
  return mask;
}

Card Look(const MachineFiles& machine, const std::string& name) {
  Card card{name, 0, true, {}};
  const std::string base = "/sys/class/net/" + name;
  for (const std::string& queue : machine.List(base + "/queues")) {
    if (!queue.starts_with("rx-")) continue;
    ++card.receive_queues;
    const std::string mask =
        machine.Read(fmt::format("{}/queues/{}/rps_cpus", base, queue)).value_or("");
    if (!HasBits(mask)) card.spread_by_kernel = false;
  }
  // A virtio card's interrupts are those of the PCI device above it.
  for (const char* place : {"/device/msi_irqs", "/device/../msi_irqs"}) {
    card.interrupts = machine.List(base + place);
    if (!card.interrupts.empty()) break;
  }
  return card;
}

void ExamineQueues(const Card& card, const ServerPlan& plan, size_t cpus, Findings& findings) {
  const std::string id = fmt::format("network.queues.{}", card.name);
  const std::string found =
      fmt::format("{} has {} receive queue{} for {} workers{}", card.name, card.receive_queues,
                  card.receive_queues == 1 ? "" : "s", plan.workers,
                  card.spread_by_kernel ? ", and the kernel spreads its packets (RPS)" : "");
  if (card.receive_queues >= plan.workers || card.spread_by_kernel) {
    findings.Ok(id, found);
    return;
  }
  // With few queues for many workers the CPUs of the queues are full before the workers are.
  const bool narrow = card.receive_queues * 4 <= plan.workers;
  findings.Add(narrow ? Level::kWarning : Level::kNote, id, found,
               "The CPUs that take the interrupts do the network's work for all workers.",
               fmt::format("ethtool -L {0} combined {1}; where the card has no more, "
                           "echo {2} > /sys/class/net/{0}/queues/rx-0/rps_cpus ({3})",
                           card.name, plan.workers, MaskOfAll(std::max(cpus, size_t{1})), kGuide));
}

void ExamineInterrupts(const MachineFiles& machine, const Card& card, size_t cpus,
                       Findings& findings) {
  if (card.interrupts.size() < 2 || cpus < 2) return;
  std::set<std::string> places;
  for (const std::string& interrupt : card.interrupts) {
    const auto list = machine.Read(fmt::format("/proc/irq/{}/smp_affinity_list", interrupt));
    if (list) places.insert(*list);
  }
  // Counts since the machine was started: "NUMBER: CPU0 CPU1 ... chip name".
  std::vector<int64_t> per_cpu(cpus, 0);
  const std::string table = machine.Read("/proc/interrupts").value_or("");
  for (const std::string_view line : SplitLines(table)) {
    const std::vector<std::string_view> words = SplitWords(line);
    if (words.empty() || !words[0].ends_with(':')) continue;
    const std::string number(words[0].substr(0, words[0].size() - 1));
    if (std::find(card.interrupts.begin(), card.interrupts.end(), number) ==
        card.interrupts.end()) {
      continue;
    }
    for (size_t i = 0; i < cpus && i + 1 < words.size(); ++i) {
      per_cpu[i] += ToNumber(words[i + 1]).value_or(0);
    }
  }
  int64_t total = 0;
  for (const int64_t count : per_cpu) total += count;
  const auto busiest = std::max_element(per_cpu.begin(), per_cpu.end());
  const int64_t percent = total == 0 ? 0 : *busiest * 100 / total;
  const std::string id = fmt::format("network.interrupts.{}", card.name);
  // Every interrupt may run on the same single CPU.
  if (places.size() == 1 && CountCpuList(*places.begin()) == 1) {
    findings.Add(
        Level::kWarning, id,
        fmt::format("all {} interrupts of {} go to CPU {}", card.interrupts.size(), card.name,
                    *places.begin()),
        "That CPU takes in everything for all workers, and its own worker gets what is left.",
        fmt::format("spread them: {}", kGuide));
    return;
  }
  const std::string found = fmt::format("CPU {} took {} % of the {} interrupts of {}",
                                        busiest - per_cpu.begin(), percent, total, card.name);
  // A hundred thousand: enough to say something about how the machine is used.
  if (total > 100'000 && percent > 80) {
    findings.Add(Level::kNote, id, found,
                 "One CPU does most of the network's work; the others' workers wait for it.",
                 fmt::format("spread them: {}", kGuide));
  } else {
    findings.Ok(id, found);
  }
}

bool IsRunning(const MachineFiles& machine, std::string_view program) {
  for (const std::string& name : machine.List("/proc")) {
    if (!ToNumber(name)) continue;
    if (machine.Read(fmt::format("/proc/{}/comm", name)) == program) return true;
  }
  return false;
}

}  // namespace

void ExamineNetworkQueues(const MachineFiles& machine, const ServerPlan& plan, Findings& findings) {
  const size_t cpus = CountCpuList(machine.Read("/sys/devices/system/cpu/online").value_or("0"));
  for (const std::string& name : machine.List("/sys/class/net")) {
    // Only what stands for a device has queues of its own; not lo, bridges and tunnels.
    if (!machine.Exists(fmt::format("/sys/class/net/{}/device", name))) continue;
    const Card card = Look(machine, name);
    if (card.receive_queues == 0) continue;
    ExamineQueues(card, plan, cpus, findings);
    ExamineInterrupts(machine, card, cpus, findings);
  }
  if (!plan.pin_workers) return;
  if (IsRunning(machine, "irqbalance")) {
    findings.Add(
        Level::kNote, "network.irqbalance", "irqbalance is running",
        "It moves interrupts between CPUs as it sees fit, while workers stay where they are; "
        "interrupts that were placed by hand do not stay.",
        fmt::format("where interrupts are placed by hand: systemctl disable --now irqbalance "
                    "({})",
                    kGuide));
  } else {
    findings.Ok("network.irqbalance", "irqbalance is not running");
  }
}

}  // namespace ringmaster::doctor
