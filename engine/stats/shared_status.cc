#include "engine/stats/shared_status.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <iterator>

#include "engine/base/json_string.h"
#include "engine/connection/close_reason.h"

namespace ringmaster {
namespace {

std::unique_ptr<SharedBlock>& Instance() {
  static std::unique_ptr<SharedBlock> block;
  return block;
}

double Seconds(TimePoint since, TimePoint now) {
  return since == 0 ? 0.0 : static_cast<double>(now - since) / 1e9;
}

// Resident bytes of a process (proc(5), statm); 0 when it is gone.
uint64_t ResidentBytes(int32_t pid) {
  if (pid <= 0) return 0;
  std::FILE* file = std::fopen(fmt::format("/proc/{}/statm", pid).c_str(), "re");
  if (file == nullptr) return 0;
  unsigned long long total_pages = 0;
  unsigned long long resident_pages = 0;
  const int fields = std::fscanf(file, "%llu %llu", &total_pages, &resident_pages);
  std::fclose(file);
  return fields == 2 ? resident_pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

// Calls visit(name, value) for every figure of the counters of one worker.
template <typename Visitor>
void ForEachCounter(const WorkerCounters& counters, Visitor visit) {
#define RINGMASTER_VISIT_COUNTER(field, description) visit(#field, counters.field.Get());
  RINGMASTER_COUNTERS(RINGMASTER_VISIT_COUNTER)
#undef RINGMASTER_VISIT_COUNTER
  for (int reason = 1; reason < kCloseReasonCount; ++reason) {
    visit(fmt::format("closed_{}", CloseReasonName(static_cast<CloseReason>(reason))),
          counters.closed_by_reason[reason].Get());
  }
  for (int slot = 0; slot < CounterNames::count(); ++slot) {
    visit(CounterNames::name(slot), counters.protocol[slot].Get());
  }
}

void AppendCounters(std::string& out, const WorkerCounters& counters) {
  char separator = '{';
  ForEachCounter(counters, [&](std::string_view name, uint64_t value) {
    out += separator;
    separator = ',';
    AppendJsonString(out, name);
    fmt::format_to(std::back_inserter(out), ":{}", value);
  });
  out += '}';
}

void AddTo(Counter& total, const Counter& part) { total.Add(part.Get()); }

std::unique_ptr<WorkerCounters> Totals(const SharedBlock& block) {
  auto totals = std::make_unique<WorkerCounters>();
  for (uint32_t i = 0; i < block.slot_count(); ++i) {
    const WorkerCounters& counters = block.slot(i).counters;
#define RINGMASTER_ADD_COUNTER(field, description) AddTo(totals->field, counters.field);
    RINGMASTER_COUNTERS(RINGMASTER_ADD_COUNTER)
#undef RINGMASTER_ADD_COUNTER
    for (int k = 0; k < kCloseReasonCount; ++k) {
      AddTo(totals->closed_by_reason[k], counters.closed_by_reason[k]);
    }
    for (int k = 0; k < kProtocolCounterCount; ++k) {
      AddTo(totals->protocol[k], counters.protocol[k]);
    }
  }
  return totals;
}

uint64_t Restarts(const SharedBlock& block) {
  uint64_t restarts = 0;
  for (uint32_t i = 0; i < block.slot_count(); ++i) restarts += block.slot(i).restarts.load();
  return restarts;
}

void AppendSlotJson(std::string& out, uint32_t index, const SharedSlot& slot, TimePoint now) {
  const int32_t pid = slot.pid.load();
  const int wait_status = slot.last_wait_status.load();
  fmt::format_to(std::back_inserter(out),
                 R"({{"index":{},"pid":{},"state":"{}","cpu":{},"uptime_seconds":{:.3f},)"
                 R"("restarts":{},"last_exit_status":{},"last_exit_signal":{},)"
                 R"("stuck_replaced":{},"memory_bytes":{},"counters":)",
                 index, pid, SlotStateName(slot.state.load()), slot.cpu.load(),
                 pid > 0 ? Seconds(slot.started_at.load(), now) : 0.0, slot.restarts.load(),
                 WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 0,
                 WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0, slot.stuck_replaced.load(),
                 ResidentBytes(pid));
  AppendCounters(out, slot.counters);
  out += '}';
}

std::string HumanBytes(uint64_t bytes) {
  if (bytes >= 10ull << 30) return fmt::format("{} GiB", bytes >> 30);
  if (bytes >= 10ull << 20) return fmt::format("{} MiB", bytes >> 20);
  return fmt::format("{} KiB", bytes >> 10);
}

std::string HumanUptime(double seconds) {
  const auto whole = static_cast<uint64_t>(seconds);
  if (whole >= 86400) return fmt::format("{}d {}h", whole / 86400, whole % 86400 / 3600);
  if (whole >= 3600) return fmt::format("{}h {}m", whole / 3600, whole % 3600 / 60);
  if (whole >= 60) return fmt::format("{}m {}s", whole / 60, whole % 60);
  return fmt::format("{:.1f}s", seconds);
}

constexpr char kRow[] = "{:<8} {:>8}  {:<10} {:>8} {:>11} {:>12} {:>14} {:>8} {:>9}\n";

}  // namespace

std::string StatusJson(const SharedBlock& block, TimePoint now) {
  const SharedHeader& header = block.header();
  std::string out = "{\"name\":";
  AppendJsonString(out, header.name);
  out += ",\"version\":";
  AppendJsonString(out, header.version);
  const int32_t pid = header.master_pid.load();
  fmt::format_to(std::back_inserter(out),
                 ",\"pid\":{},\"uptime_seconds\":{:.3f},\"generation\":{},\"memory_bytes\":{},"
                 "\"listeners\":[",
                 pid, Seconds(header.started_at.load(), now), header.generation,
                 ResidentBytes(pid));
  for (uint32_t i = 0; i < header.listener_count; ++i) {
    out += i == 0 ? "{\"address\":" : ",{\"address\":";
    AppendJsonString(out, header.listeners[i]);
    out += '}';
  }
  out += "],\"workers\":[";
  for (uint32_t i = 0; i < block.slot_count(); ++i) {
    if (i > 0) out += ',';
    AppendSlotJson(out, i, block.slot(i), now);
  }
  fmt::format_to(std::back_inserter(out),
                 "],\"totals\":{{\"restarts\":{},\"counters\":", Restarts(block));
  AppendCounters(out, *Totals(block));
  out += "}}\n";
  return out;
}

std::string StatusTable(const SharedBlock& block, TimePoint now) {
  const SharedHeader& header = block.header();
  const int32_t pid = header.master_pid.load();
  const double uptime = Seconds(header.started_at.load(), now);
  std::string out =
      fmt::format("{}{}{}, pid {}, up {}\n", header.name, header.version[0] == '\0' ? "" : " ",
                  header.version, pid, HumanUptime(uptime));
  for (uint32_t i = 0; i < header.listener_count; ++i) {
    out += fmt::format("listening on {}\n", header.listeners[i]);
  }
  out += '\n';
  out += fmt::format(kRow, "process", "pid", "state", "uptime", "connections", "accepted",
                     "messages", "restarts", "memory");
  out += fmt::format(kRow, "master", pid, "", HumanUptime(uptime), "", "", "", "",
                     HumanBytes(ResidentBytes(pid)));
  uint64_t memory = ResidentBytes(pid);
  for (uint32_t i = 0; i < block.slot_count(); ++i) {
    const SharedSlot& slot = block.slot(i);
    const int32_t worker = slot.pid.load();
    const uint64_t resident = ResidentBytes(worker);
    memory += resident;
    out +=
        fmt::format(kRow, fmt::format("worker {}", i), worker > 0 ? fmt::to_string(worker) : "-",
                    SlotStateName(slot.state.load()),
                    worker > 0 ? HumanUptime(Seconds(slot.started_at.load(), now)) : "-",
                    slot.counters.connections_open.Get(), slot.counters.connections_accepted.Get(),
                    slot.counters.messages.Get(), slot.restarts.load(), HumanBytes(resident));
  }
  const std::unique_ptr<WorkerCounters> totals = Totals(block);
  out += fmt::format(kRow, "total", "", "", "", totals->connections_open.Get(),
                     totals->connections_accepted.Get(), totals->messages.Get(), Restarts(block),
                     HumanBytes(memory));
  return out;
}

std::string StatusSummary(const SharedBlock& block, TimePoint now) {
  const std::unique_ptr<WorkerCounters> totals = Totals(block);
  return fmt::format(
      "up {}, {} connections accepted, {} messages, {} bytes received, {} bytes sent, {} worker "
      "restarts",
      HumanUptime(Seconds(block.header().started_at.load(), now)),
      totals->connections_accepted.Get(), totals->messages.Get(), totals->bytes_received.Get(),
      totals->bytes_sent.Get(), Restarts(block));
}

TimePoint MonotonicNow() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<TimePoint>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

SharedBlock* SharedStatus::Get() { return Instance().get(); }
void SharedStatus::Set(std::unique_ptr<SharedBlock> block) { Instance() = std::move(block); }

}  // namespace ringmaster
