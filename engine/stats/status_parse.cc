#include <simdjson.h>

#include <charconv>
#include <set>

#include "engine/stats/status_snapshot.h"

// The way back from StatusJson. What is not there, since another release wrote it, stays 0 or
// empty.

namespace ringmaster {
namespace {

using simdjson::dom::element;

template <typename Value>
Value ValueOr(const element& from, std::string_view key, Value otherwise) {
  Value value;
  return from[key].get(value) == simdjson::SUCCESS ? value : otherwise;
}

int32_t Int32(const element& from, std::string_view key) {
  return static_cast<int32_t>(ValueOr<int64_t>(from, key, 0));
}

uint64_t Uint64(const element& from, std::string_view key) {
  return ValueOr<uint64_t>(from, key, 0);
}

std::string Text(const element& from, std::string_view key) {
  return std::string(ValueOr<std::string_view>(from, key, ""));
}

double Seconds(const element& from, std::string_view key) {
  return ValueOr<double>(from, key, 0.0);
}

template <typename Visit>
void ForEachElement(const element& from, std::string_view key, Visit visit) {
  simdjson::dom::array array;
  if (from[key].get(array) != simdjson::SUCCESS) return;
  for (const element item : array) visit(item);
}

template <typename Visit>
void ForEachField(const element& from, std::string_view key, Visit visit) {
  simdjson::dom::object object;
  if (from[key].get(object) != simdjson::SUCCESS) return;
  for (const auto field : object) visit(field.key, field.value);
}

FigureSet ReadFigures(const element& from) {
  std::set<std::string, std::less<>> gauges;
  ForEachField(from, "gauges",
               [&](std::string_view name, const element&) { gauges.emplace(name); });
  FigureSet figures;
  ForEachField(from, "counters", [&](std::string_view name, const element& value) {
    uint64_t count = 0;
    if (value.get(count) != simdjson::SUCCESS) return;
    figures.Append(name, gauges.contains(name) ? FigureKind::kGauge : FigureKind::kCounter, count);
  });
  return figures;
}

HistogramSnapshot ReadHistogram(const element& from, std::string_view key) {
  HistogramSnapshot histogram;
  element parts;
  if (from["histograms"][key].get(parts) != simdjson::SUCCESS) return histogram;
  ForEachElement(parts, "buckets", [&](const element& bucket) {
    uint64_t index = 0;
    uint64_t count = 0;
    if (bucket.at(0).get(index) != simdjson::SUCCESS) return;
    if (bucket.at(1).get(count) != simdjson::SUCCESS) return;
    histogram.SetBucket(index, count);
  });
  histogram.SetSumAndMax(Uint64(parts, "sum_ns"), Uint64(parts, "max_ns"));
  return histogram;
}

ProcessMemory ReadMemory(const element& from) {
  element memory;
  if (from["memory"].get(memory) != simdjson::SUCCESS) return {};
  return {Uint64(memory, "anonymous_bytes"), Uint64(memory, "file_bytes"),
          Uint64(memory, "shared_bytes")};
}

FiguresSnapshot ReadCounted(const element& from) {
  return {ReadFigures(from), ReadHistogram(from, "handler_time"), ReadHistogram(from, "queue_time"),
          ReadHistogram(from, "turn_time")};
}

uint64_t Hexadecimal(const element& from, std::string_view key) {
  const std::string_view text = ValueOr<std::string_view>(from, key, "");
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

std::optional<SandboxState> ReadSandbox(const element& from) {
  element object;
  if (from["sandbox"].get(object) != simdjson::SUCCESS || !object.is_object()) return std::nullopt;
  SandboxState sandbox;
  sandbox.uid = static_cast<uint32_t>(Uint64(object, "uid"));
  sandbox.gid = static_cast<uint32_t>(Uint64(object, "gid"));
  ForEachElement(object, "groups", [&](const element& group) {
    uint64_t id = 0;
    if (group.get(id) == simdjson::SUCCESS) sandbox.groups.push_back(static_cast<uint32_t>(id));
  });
  sandbox.capabilities = Hexadecimal(object, "capabilities");
  sandbox.bounding_capabilities = Hexadecimal(object, "bounding_capabilities");
  sandbox.no_new_privs = ValueOr(object, "no_new_privs", false);
  const std::string seccomp = Text(object, "seccomp");
  using Seccomp = SandboxState::Seccomp;
  for (const Seccomp mode : {Seccomp::kOff, Seccomp::kStrict, Seccomp::kFilter}) {
    if (seccomp == SeccompName(mode)) sandbox.seccomp = mode;
  }
  return sandbox;
}

WorkerSnapshot ReadWorker(const element& from) {
  WorkerSnapshot worker;
  worker.index = static_cast<uint32_t>(Uint64(from, "index"));
  worker.place = static_cast<uint32_t>(Uint64(from, "place"));
  worker.generation = static_cast<uint32_t>(Uint64(from, "generation"));
  worker.pid = Int32(from, "pid");
  worker.state = Text(from, "state");
  worker.cpu = Int32(from, "cpu");
  worker.uptime_seconds = Seconds(from, "uptime_seconds");
  worker.restarts = Uint64(from, "restarts");
  worker.stuck_replaced = Uint64(from, "stuck_replaced");
  worker.last_exit_status = Int32(from, "last_exit_status");
  worker.last_exit_signal = Int32(from, "last_exit_signal");
  worker.memory = ReadMemory(from);
  worker.sandbox = ReadSandbox(from);
  worker.counted = ReadCounted(from);
  return worker;
}

ReloadSnapshot ReadReload(const element& from) {
  ReloadSnapshot reload;
  element parts;
  if (from["reload"].get(parts) != simdjson::SUCCESS) return reload;
  reload.state = Text(parts, "state");
  reload.done = Uint64(parts, "done");
  reload.abandoned = Uint64(parts, "abandoned");
  reload.upgrades = Uint64(parts, "upgrades");
  reload.last_generation = static_cast<uint32_t>(Uint64(parts, "last_generation"));
  reload.last_result = Text(parts, "last_result");
  reload.last_reason = Text(parts, "last_reason");
  return reload;
}

}  // namespace

absl::StatusOr<StatusSnapshot> StatusSnapshot::Parse(std::string_view json) {
  simdjson::dom::parser parser;
  element root;
  if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS || !root.is_object()) {
    return absl::InvalidArgumentError("the server's figures are no JSON object");
  }
  StatusSnapshot status;
  status.name = Text(root, "name");
  status.version = Text(root, "version");
  status.pid = Int32(root, "pid");
  status.generation = static_cast<uint32_t>(Uint64(root, "generation"));
  status.uptime_seconds = Seconds(root, "uptime_seconds");
  status.memory = ReadMemory(root);
  ForEachElement(root, "listeners", [&](const element& listener) {
    status.listeners.push_back(Text(listener, "address"));
  });
  ForEachElement(root, "workers",
                 [&](const element& worker) { status.workers.push_back(ReadWorker(worker)); });
  status.worker_count = static_cast<uint32_t>(Uint64(root, "worker_count"));
  status.reload = ReadReload(root);
  element former;
  if (root["former"].get(former) == simdjson::SUCCESS) {
    status.former_restarts = Uint64(former, "restarts");
    status.former = ReadCounted(former);
  }
  element admin;
  if (root["admin"].get(admin) == simdjson::SUCCESS) {
    status.admin = ReadWorker(admin);
    status.admin_listener = Text(admin, "address");
  }
  return status;
}

}  // namespace ringmaster
