#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/time.h"
#include "engine/sandbox/sandbox_state.h"
#include "engine/stats/histogram.h"
#include "engine/stats/process_memory.h"
#include "engine/stats/shared_block.h"

namespace ringmaster {

// Figures by name, in the order in which they are defined.
class FigureSet {
 public:
  struct Entry {
    std::string name;
    FigureKind kind;
    uint64_t value;
  };

  void Append(std::string_view name, FigureKind kind, uint64_t value);
  // 0 for a name that is not there: another release may not know it.
  uint64_t Get(std::string_view name) const;
  const std::vector<Entry>& entries() const { return entries_; }
  // Adds another worker's, name by name.
  void Merge(const FigureSet& other);
  // Counters as what was counted since `earlier`, gauges as they are.
  FigureSet Since(const FigureSet& earlier) const;

 private:
  std::vector<Entry> entries_;
};

// One cause among several, and how often: "read_timeout", 3.
struct Cause {
  std::string name;
  uint64_t count;
};
// The causes that occurred, the most frequent first: of refusals at the door, of closes.
std::vector<Cause> RefusedCauses(const FigureSet& figures);
std::vector<Cause> ClosedCauses(const FigureSet& figures);

// What a worker, or all of them together, has counted.
struct FiguresSnapshot {
  FigureSet figures;
  HistogramSnapshot handler_time;
  HistogramSnapshot queue_time;
  HistogramSnapshot turn_time;

  void Merge(const FiguresSnapshot& other);
  FiguresSnapshot Since(const FiguresSnapshot& earlier) const;
  // Of all causes together.
  uint64_t refused() const;
};

struct WorkerSnapshot {
  uint32_t index = 0;
  uint32_t place = 0;  // which of the server's workers it is; old and new share it during a reload
  uint32_t generation = 0;
  int32_t pid = 0;  // 0 = no process now
  std::string state;
  int32_t cpu = -1;
  double uptime_seconds = 0;
  uint64_t restarts = 0;
  uint64_t stuck_replaced = 0;  // among them: workers that did not move any more
  int32_t last_exit_status = 0;
  int32_t last_exit_signal = 0;
  ProcessMemory memory;
  // nullopt: no process now, or one that may not be seen.
  std::optional<SandboxState> sandbox;
  FiguresSnapshot counted;
};

// What is known of reloads (SharedReload).
struct ReloadSnapshot {
  std::string state = "idle";
  uint64_t done = 0;
  uint64_t abandoned = 0;
  uint64_t upgrades = 0;
  uint32_t last_generation = 0;
  std::string last_result;
  std::string last_reason;
};

// The whole server as it was at one moment. Read once from shared memory (or from the text that
// `status --json` prints), then shown in whatever form.
struct StatusSnapshot {
  std::string name;
  std::string version;
  int32_t pid = 0;
  uint32_t generation = 0;
  double uptime_seconds = 0;
  ProcessMemory memory;  // of the master
  std::vector<std::string> listeners;
  uint32_t worker_count = 0;  // that shall serve
  ReloadSnapshot reload;
  // Those that work now, and those whose successor is awaited.
  std::vector<WorkerSnapshot> workers;
  // What workers that are gone have counted.
  FiguresSnapshot former;
  uint64_t former_restarts = 0;
  // The admin process, which is in no total; nullopt when there is none.
  std::optional<WorkerSnapshot> admin;
  std::string admin_listener;

  // Costs no worker a turn: everything is read from shared memory and /proc.
  static StatusSnapshot Take(const SharedBlock& block, TimePoint now);
  // Reads what StatusJson wrote; percentiles need StatusJsonOptions::buckets. Errors:
  // kInvalidArgument.
  static absl::StatusOr<StatusSnapshot> Parse(std::string_view json);

  FiguresSnapshot Totals() const;
  uint64_t restarts() const;
};

}  // namespace ringmaster
