#pragma once

#include <functional>
#include <string_view>

#include "engine/stats/counters.h"

namespace ringmaster {

// One figure of a worker with what is said about it. The views are valid during the visit.
struct Figure {
  std::string_view name;  // "closed_read_timeout": stable, programs read it
  std::string_view description;
  FigureKind kind = FigureKind::kCounter;
  FigureFamily family;
  const Counter& counter;
};

// What the names of refusals begin with.
inline constexpr std::string_view kRefusedPrefix = "refused_";
// The families of the engine's own figures.
inline constexpr std::string_view kRefusedFamily = "connections_refused";
inline constexpr std::string_view kClosedFamily = "connections_closed";

// Calls `visit` for every figure: counters, gauges, closes by reason, and what protocols
// registered.
void ForEachFigure(const WorkerCounters& counters, const std::function<void(const Figure&)>& visit);

// One histogram of a worker.
struct TimedFigure {
  std::string_view name;  // "handler_time"
  std::string_view description;
  const Histogram& histogram;
};
void ForEachHistogram(const WorkerCounters& counters,
                      const std::function<void(const TimedFigure&)>& visit);

// A worker has died, and with it what its gauges counted.
void ResetGauges(WorkerCounters& counters);

}  // namespace ringmaster
