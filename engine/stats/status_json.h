#pragma once

#include <string>

#include "engine/base/time.h"
#include "engine/stats/shared_block.h"
#include "engine/stats/status_snapshot.h"

namespace ringmaster {

struct StatusJsonOptions {
  // Also the buckets of every histogram that are in use, as [index, count] (HistogramShape): for
  // whoever computes percentiles of an interval from the difference of two answers.
  bool buckets = false;
};

// One object in one line, with a line feed:
//
//   {"name":..., "version":..., "pid":..., "uptime_seconds":..., "generation":...,
//    "memory_bytes":..., "memory":{"anonymous_bytes":..., "file_bytes":..., "shared_bytes":...},
//    "listeners":[{"address":...}],
//    "workers":[{"index":0, "pid":..., "state":"ready", ..., FIGURES}],
//    "admin":{"address":..., "pid":..., "state":"ready", ..., FIGURES},  if it has an admin process
//    "totals":{"restarts":..., FIGURES}}
//
// FIGURES are the same for a worker and for all of them:
//
//    "counters":{NAME:...}      every figure, gauges too
//    "gauges":{NAME:...}        those that go up and down
//    "refused":{REASON:...}     connections refused at the door, reasons that occurred
//    "closed":{REASON:...}      connections closed, reasons that occurred
//    "enters_per_turn":1.0      io_uring_enter calls per turn of the loop
//    "histograms":{"handler_time":{"count":..., "mean_us":..., "p50_us":..., "p90_us":...,
//                  "p99_us":..., "p999_us":..., "p9999_us":..., "max_us":...},
//                  "queue_time":{...}, "turn_time":{...}}
std::string StatusJson(const StatusSnapshot& status, const StatusJsonOptions& options = {});
std::string StatusJson(const SharedBlock& block, TimePoint now);
// The member "histograms" alone.
void AppendHistogramsJson(std::string& out, const FiguresSnapshot& counted,
                          const StatusJsonOptions& options);

}  // namespace ringmaster
