#include "engine/stats/status_snapshot.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstring>

#include "engine/stats/figures.h"

namespace ringmaster {
namespace {

constexpr std::string_view kClosedPrefix = "closed_";

double Seconds(TimePoint since, TimePoint now) {
  return since == 0 ? 0.0 : static_cast<double>(now - since) / 1e9;
}

std::vector<Cause> CausesIn(const FigureSet& figures, std::string_view prefix) {
  std::vector<Cause> causes;
  for (const FigureSet::Entry& entry : figures.entries()) {
    if (entry.value == 0 || !entry.name.starts_with(prefix)) continue;
    causes.push_back({entry.name.substr(prefix.size()), entry.value});
  }
  std::stable_sort(causes.begin(), causes.end(),
                   [](const Cause& a, const Cause& b) { return a.count > b.count; });
  return causes;
}

FiguresSnapshot Read(const WorkerCounters& counters) {
  FiguresSnapshot counted;
  ForEachFigure(counters, [&](const Figure& figure) {
    counted.figures.Append(figure.name, figure.kind, figure.counter.Get());
  });
  counted.handler_time = HistogramSnapshot(counters.handler_time);
  counted.queue_time = HistogramSnapshot(counters.queue_time);
  counted.turn_time = HistogramSnapshot(counters.turn_time);
  return counted;
}

std::string TextOf(const char* text, size_t bytes) { return {text, ::strnlen(text, bytes)}; }

ReloadSnapshot Read(const SharedReload& reload) {
  ReloadSnapshot read;
  read.state = TextOf(reload.state, sizeof(reload.state));
  if (read.state.empty()) read.state = "idle";
  read.done = reload.done.load();
  read.abandoned = reload.abandoned.load();
  read.upgrades = reload.upgrades.load();
  read.last_generation = reload.generation.load();
  read.last_result = TextOf(reload.result, sizeof(reload.result));
  read.last_reason = TextOf(reload.reason, sizeof(reload.reason));
  return read;
}

WorkerSnapshot Read(uint32_t index, const SharedSlot& slot, TimePoint now) {
  WorkerSnapshot worker;
  worker.index = index;
  worker.place = slot.place.load();
  worker.generation = slot.generation.load();
  worker.pid = slot.pid.load();
  worker.state = SlotStateName(slot.state.load());
  worker.cpu = slot.cpu.load();
  worker.uptime_seconds = worker.pid > 0 ? Seconds(slot.started_at.load(), now) : 0.0;
  worker.restarts = slot.restarts.load();
  worker.stuck_replaced = slot.stuck_replaced.load();
  const int wait_status = slot.last_wait_status.load();
  worker.last_exit_status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 0;
  worker.last_exit_signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  worker.memory = ProcessMemory::Of(worker.pid);
  worker.sandbox = SandboxState::OfProcess(worker.pid);
  worker.counted = Read(slot.counters);
  return worker;
}

}  // namespace

void FigureSet::Append(std::string_view name, FigureKind kind, uint64_t value) {
  entries_.push_back({std::string(name), kind, value});
}

uint64_t FigureSet::Get(std::string_view name) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [name](const Entry& entry) { return entry.name == name; });
  return found == entries_.end() ? 0 : found->value;
}

void FigureSet::Merge(const FigureSet& other) {
  for (size_t i = 0; i < other.entries_.size(); ++i) {
    const Entry& entry = other.entries_[i];
    // All workers have the same names in the same order, as a rule.
    const auto same = [&entry](const Entry& ours) { return ours.name == entry.name; };
    auto found = i < entries_.size() && same(entries_[i])
                     ? entries_.begin() + static_cast<std::ptrdiff_t>(i)
                     : std::find_if(entries_.begin(), entries_.end(), same);
    if (found == entries_.end()) {
      entries_.push_back(entry);
    } else {
      found->value += entry.value;
    }
  }
}

FigureSet FigureSet::Since(const FigureSet& earlier) const {
  FigureSet since;
  for (const Entry& entry : entries_) {
    uint64_t value = entry.value;
    if (entry.kind == FigureKind::kCounter) {
      // A server that was started anew meanwhile counts whole.
      const uint64_t before = earlier.Get(entry.name);
      value = value >= before ? value - before : value;
    }
    since.entries_.push_back({entry.name, entry.kind, value});
  }
  return since;
}

std::vector<Cause> RefusedCauses(const FigureSet& figures) {
  return CausesIn(figures, kRefusedPrefix);
}

std::vector<Cause> ClosedCauses(const FigureSet& figures) {
  return CausesIn(figures, kClosedPrefix);
}

void FiguresSnapshot::Merge(const FiguresSnapshot& other) {
  figures.Merge(other.figures);
  handler_time.Merge(other.handler_time);
  queue_time.Merge(other.queue_time);
  turn_time.Merge(other.turn_time);
}

FiguresSnapshot FiguresSnapshot::Since(const FiguresSnapshot& earlier) const {
  return {figures.Since(earlier.figures), handler_time.Since(earlier.handler_time),
          queue_time.Since(earlier.queue_time), turn_time.Since(earlier.turn_time)};
}

uint64_t FiguresSnapshot::refused() const {
  uint64_t count = 0;
  for (const Cause& cause : RefusedCauses(figures)) count += cause.count;
  return count;
}

StatusSnapshot StatusSnapshot::Take(const SharedBlock& block, TimePoint now) {
  const SharedHeader& header = block.header();
  StatusSnapshot status;
  status.name = header.name;
  status.version = header.version;
  status.pid = header.master_pid.load();
  status.generation = header.generation;
  status.uptime_seconds = Seconds(header.started_at.load(), now);
  status.memory = ProcessMemory::Of(status.pid);
  for (uint32_t i = 0; i < header.listener_count; ++i) {
    status.listeners.emplace_back(header.listeners[i]);
  }
  status.worker_count = header.worker_count.load();
  status.reload = Read(header.reload);
  for (uint32_t i = 0; i < block.slot_count(); ++i) {
    WorkerSnapshot worker = Read(i, block.slot(i), now);
    const SlotState state = block.slot(i).state.load();
    if (worker.pid == 0 && (state == SlotState::kStopped || state == SlotState::kEmpty) &&
        block.slot(i).retired.load()) {
      status.former.Merge(worker.counted);
      status.former_restarts += worker.restarts;
      continue;
    }
    status.workers.push_back(std::move(worker));
  }
  if (const SharedSlot* admin = block.admin_slot();
      admin != nullptr && header.admin_listener[0] != 0) {
    status.admin = Read(block.slot_capacity(), *admin, now);
    status.admin_listener = header.admin_listener;
  }
  return status;
}

FiguresSnapshot StatusSnapshot::Totals() const {
  FiguresSnapshot totals = former;
  for (const WorkerSnapshot& worker : workers) totals.Merge(worker.counted);
  return totals;
}

uint64_t StatusSnapshot::restarts() const {
  uint64_t count = former_restarts;
  for (const WorkerSnapshot& worker : workers) count += worker.restarts;
  return count;
}

}  // namespace ringmaster
