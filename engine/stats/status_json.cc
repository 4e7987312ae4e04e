#include "engine/stats/status_json.h"

#include <fmt/format.h>

#include <iterator>

#include "engine/base/json_string.h"

namespace ringmaster {
namespace {

template <typename... Arguments>
void Append(std::string& out, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Arguments>(arguments)...);
}

double Microseconds(uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e3; }

void AppendFigures(std::string& out, std::string_view key, const FigureSet& figures,
                   bool gauges_only) {
  Append(out, "\"{}\":{{", key);
  bool first = true;
  for (const FigureSet::Entry& entry : figures.entries()) {
    if (gauges_only && entry.kind != FigureKind::kGauge) continue;
    if (!first) out += ',';
    first = false;
    AppendJsonString(out, entry.name);
    Append(out, ":{}", entry.value);
  }
  out += '}';
}

void AppendCauses(std::string& out, std::string_view key, const std::vector<Cause>& causes) {
  Append(out, "\"{}\":{{", key);
  for (size_t i = 0; i < causes.size(); ++i) {
    if (i > 0) out += ',';
    AppendJsonString(out, causes[i].name);
    Append(out, ":{}", causes[i].count);
  }
  out += '}';
}

void AppendBuckets(std::string& out, const HistogramSnapshot& histogram) {
  Append(out, R"(,"sum_ns":{},"max_ns":{},"buckets":[)", histogram.sum(), histogram.max());
  bool first = true;
  for (size_t i = 0; i < histogram.buckets().size(); ++i) {
    if (histogram.buckets()[i] == 0) continue;
    Append(out, "{}[{},{}]", first ? "" : ",", i, histogram.buckets()[i]);
    first = false;
  }
  out += ']';
}

void AppendHistogram(std::string& out, std::string_view key, const HistogramSnapshot& histogram,
                     const StatusJsonOptions& options) {
  Append(out,
         R"("{}":{{"count":{},"mean_us":{:.3f},"p50_us":{:.3f},"p90_us":{:.3f},"p99_us":{:.3f},)"
         R"("p999_us":{:.3f},"p9999_us":{:.3f},"max_us":{:.3f})",
         key, histogram.count(), histogram.Mean() / 1e3, Microseconds(histogram.Percentile(50)),
         Microseconds(histogram.Percentile(90)), Microseconds(histogram.Percentile(99)),
         Microseconds(histogram.Percentile(99.9)), Microseconds(histogram.Percentile(99.99)),
         Microseconds(histogram.max()));
  if (options.buckets) AppendBuckets(out, histogram);
  out += '}';
}

void AppendCounted(std::string& out, const FiguresSnapshot& counted,
                   const StatusJsonOptions& options) {
  AppendFigures(out, "counters", counted.figures, /*gauges_only=*/false);
  out += ',';
  AppendFigures(out, "gauges", counted.figures, /*gauges_only=*/true);
  out += ',';
  AppendCauses(out, "refused", RefusedCauses(counted.figures));
  out += ',';
  AppendCauses(out, "closed", ClosedCauses(counted.figures));
  const uint64_t turns = counted.figures.Get("loop_turns");
  const double enters = static_cast<double>(counted.figures.Get("ring_enters"));
  Append(out, R"(,"enters_per_turn":{:.3f},)",
         turns == 0 ? 0.0 : enters / static_cast<double>(turns));
  AppendHistogramsJson(out, counted, options);
}

void AppendMemory(std::string& out, const ProcessMemory& memory) {
  Append(out,
         R"("memory_bytes":{},"memory":{{"anonymous_bytes":{},"file_bytes":{},)"
         R"("shared_bytes":{}}})",
         memory.resident_bytes(), memory.anonymous_bytes, memory.file_bytes, memory.shared_bytes);
}

// As the kernel reports it; null where there is no process to look at.
void AppendSandbox(std::string& out, const std::optional<SandboxState>& sandbox) {
  if (!sandbox) {
    out += R"("sandbox":null)";
    return;
  }
  Append(out,
         R"("sandbox":{{"uid":{},"gid":{},"groups":[{}],"capabilities":"{:016x}",)"
         R"("bounding_capabilities":"{:016x}","no_new_privs":{},"seccomp":"{}"}})",
         sandbox->uid, sandbox->gid, fmt::join(sandbox->groups, ","), sandbox->capabilities,
         sandbox->bounding_capabilities, sandbox->no_new_privs, SeccompName(sandbox->seccomp));
}

// The members without their braces.
void AppendWorker(std::string& out, const WorkerSnapshot& worker,
                  const StatusJsonOptions& options) {
  Append(out, R"("index":{},"place":{},"generation":{},"pid":{},"state":)", worker.index,
         worker.place, worker.generation, worker.pid);
  AppendJsonString(out, worker.state);
  Append(out,
         R"(,"cpu":{},"uptime_seconds":{:.3f},"restarts":{},"last_exit_status":{},)"
         R"("last_exit_signal":{},"stuck_replaced":{},)",
         worker.cpu, worker.uptime_seconds, worker.restarts, worker.last_exit_status,
         worker.last_exit_signal, worker.stuck_replaced);
  AppendMemory(out, worker.memory);
  out += ',';
  AppendSandbox(out, worker.sandbox);
  out += ',';
  AppendCounted(out, worker.counted, options);
}

void AppendReload(std::string& out, const ReloadSnapshot& reload) {
  out += "{\"state\":";
  AppendJsonString(out, reload.state);
  Append(out, R"(,"done":{},"abandoned":{},"upgrades":{},"last_generation":{},"last_result":)",
         reload.done, reload.abandoned, reload.upgrades, reload.last_generation);
  AppendJsonString(out, reload.last_result);
  out += ",\"last_reason\":";
  AppendJsonString(out, reload.last_reason);
  out += '}';
}

}  // namespace

void AppendHistogramsJson(std::string& out, const FiguresSnapshot& counted,
                          const StatusJsonOptions& options) {
  out += "\"histograms\":{";
  AppendHistogram(out, "handler_time", counted.handler_time, options);
  out += ',';
  AppendHistogram(out, "queue_time", counted.queue_time, options);
  out += ',';
  AppendHistogram(out, "turn_time", counted.turn_time, options);
  out += '}';
}

std::string StatusJson(const StatusSnapshot& status, const StatusJsonOptions& options) {
  std::string out = "{\"name\":";
  AppendJsonString(out, status.name);
  out += ",\"version\":";
  AppendJsonString(out, status.version);
  Append(out, R"(,"pid":{},"uptime_seconds":{:.3f},"generation":{},)", status.pid,
         status.uptime_seconds, status.generation);
  AppendMemory(out, status.memory);
  Append(out, R"(,"worker_count":{},"reload":)", status.worker_count);
  AppendReload(out, status.reload);
  out += ",\"listeners\":[";
  for (size_t i = 0; i < status.listeners.size(); ++i) {
    out += i == 0 ? "{\"address\":" : ",{\"address\":";
    AppendJsonString(out, status.listeners[i]);
    out += '}';
  }
  out += "],\"workers\":[";
  for (size_t i = 0; i < status.workers.size(); ++i) {
    out += i == 0 ? "{" : ",{";
    AppendWorker(out, status.workers[i], options);
    out += '}';
  }
  out += ']';
  if (status.admin) {
    out += ",\"admin\":{\"address\":";
    AppendJsonString(out, status.admin_listener);
    out += ',';
    AppendWorker(out, *status.admin, options);
    out += '}';
  }
  if (!status.former.figures.entries().empty()) {
    Append(out, R"(,"former":{{"restarts":{},)", status.former_restarts);
    AppendCounted(out, status.former, options);
    out += '}';
  }
  Append(out, R"(,"totals":{{"restarts":{},)", status.restarts());
  AppendCounted(out, status.Totals(), options);
  out += "}}\n";
  return out;
}

std::string StatusJson(const SharedBlock& block, TimePoint now) {
  return StatusJson(StatusSnapshot::Take(block, now));
}

}  // namespace ringmaster
