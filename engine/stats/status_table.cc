#include "engine/stats/status_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/stats/human_units.h"

namespace ringmaster {
namespace {

constexpr char kRow[] =
    "{:<9} {:>7}  {:<10} {:>8} {:>8} {:>10} {:>8} {:>11} {:>11} {:>11} {:>6} {:>9} {:>8}\n";

constexpr char kTimes[] = "  {:<8} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n";

std::string Row(const std::string& who, const std::string& pid, const std::string& state,
                const std::string& uptime, const FiguresSnapshot& counted, uint64_t memory_bytes,
                uint64_t restarts) {
  const FigureSet& figures = counted.figures;
  return fmt::format(kRow, who, pid, state, uptime, figures.Get("connections_open"),
                     figures.Get("connections_accepted"), counted.refused(),
                     figures.Get("messages"), HumanPercentile(counted.handler_time, 50),
                     HumanPercentile(counted.handler_time, 99), figures.Get("handler_stalls"),
                     HumanBytes(memory_bytes), restarts);
}

std::string ProcessRow(const std::string& who, const WorkerSnapshot& process) {
  const bool runs = process.pid > 0;
  return Row(who, runs ? fmt::to_string(process.pid) : "-", process.state,
             runs ? HumanUptime(process.uptime_seconds) : "-", process.counted,
             process.memory.resident_bytes(), process.restarts);
}

std::string Percentiles(std::string_view name, const HistogramSnapshot& histogram) {
  if (name.empty()) {
    return fmt::format(kTimes, "", "count", "p50", "p90", "p99", "p99.9", "p99.99", "max");
  }
  return fmt::format(kTimes, name, histogram.count(), HumanPercentile(histogram, 50),
                     HumanPercentile(histogram, 90), HumanPercentile(histogram, 99),
                     HumanPercentile(histogram, 99.9), HumanPercentile(histogram, 99.99),
                     HumanNanoseconds(histogram.max()));
}

std::string Times(const FiguresSnapshot& totals) {
  if (totals.turn_time.count() == 0) return "";  // timings are off, or nothing has happened
  return "\ntimes, all workers\n" + Percentiles("", {}) +
         Percentiles("handler", totals.handler_time) + Percentiles("queue", totals.queue_time) +
         Percentiles("turn", totals.turn_time);
}

std::string Section(std::string_view title, const std::vector<Cause>& causes) {
  if (causes.empty()) return "";
  std::string out = fmt::format("\n{}\n", title);
  for (const Cause& cause : causes)
    out += fmt::format("  {:<24} {:>11}\n", cause.name, cause.count);
  return out;
}

// Which generation serves, and what became of the latest reload; nothing where there was none.
std::string ReloadLine(const StatusSnapshot& status) {
  const ReloadSnapshot& reload = status.reload;
  if (reload.state == "idle" && reload.last_result.empty()) return "";
  std::string out = fmt::format("generation   {}", status.generation);
  if (reload.state != "idle") out += fmt::format(", reload: {}", reload.state);
  if (reload.last_result == "abandoned") {
    out += fmt::format(", the reload to generation {} was abandoned: {}", reload.last_generation,
                       reload.last_reason);
  }
  return out + '\n';
}

// What holds for the workers, by what the kernel reports of them; a line for each difference, as
// between those from before a change and after.
std::string Sandboxes(const std::vector<WorkerSnapshot>& workers) {
  std::vector<std::string> lines;
  for (const WorkerSnapshot& worker : workers) {
    if (!worker.sandbox || worker.state != SlotStateName(SlotState::kReady)) continue;
    std::string line = worker.sandbox->Describe();
    if (std::find(lines.begin(), lines.end(), line) == lines.end()) {
      lines.push_back(std::move(line));
    }
  }
  std::string out;
  for (const std::string& line : lines) out += fmt::format("workers as   {}\n", line);
  return out;
}

}  // namespace

std::string StatusTable(const StatusSnapshot& status) {
  std::string out =
      fmt::format("{}{}{}, pid {}, up {}\n", status.name, status.version.empty() ? "" : " ",
                  status.version, status.pid, HumanUptime(status.uptime_seconds));
  out += ReloadLine(status);
  for (const std::string& listener : status.listeners) {
    out += fmt::format("listening on {}\n", listener);
  }
  if (status.admin) out += fmt::format("admin on     {}\n", status.admin_listener);
  out += Sandboxes(status.workers);
  out += '\n';
  out += fmt::format(kRow, "process", "pid", "state", "uptime", "open", "accepted", "refused",
                     "messages", "handler p50", "handler p99", "stalls", "memory", "restarts");
  out += fmt::format(kRow, "master", status.pid, "", HumanUptime(status.uptime_seconds), "", "", "",
                     "", "", "", "", HumanBytes(status.memory.resident_bytes()), "");
  uint64_t memory = status.memory.resident_bytes();
  for (const WorkerSnapshot& worker : status.workers) {
    memory += worker.memory.resident_bytes();
    out += ProcessRow(fmt::format("worker {}", worker.index), worker);
  }
  const FiguresSnapshot totals = status.Totals();
  out += Row("total", "", "", "", totals, memory, status.restarts());
  if (status.admin) out += ProcessRow("admin", *status.admin);
  out += Times(totals);
  out += Section("connections refused, by reason", RefusedCauses(totals.figures));
  out += Section("connections closed, by reason", ClosedCauses(totals.figures));
  return out;
}

std::string StatusTable(const SharedBlock& block, TimePoint now) {
  return StatusTable(StatusSnapshot::Take(block, now));
}

std::string StatusSummary(const SharedBlock& block, TimePoint now) {
  const StatusSnapshot status = StatusSnapshot::Take(block, now);
  const FigureSet totals = status.Totals().figures;
  return fmt::format(
      "up {}, {} connections accepted, {} messages, {} bytes received, {} bytes sent, {} worker "
      "restarts",
      HumanUptime(status.uptime_seconds), totals.Get("connections_accepted"),
      totals.Get("messages"), totals.Get("bytes_received"), totals.Get("bytes_sent"),
      status.restarts());
}

}  // namespace ringmaster
