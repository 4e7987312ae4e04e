#include "engine/stats/figures.h"

#include <fmt/format.h>

#include <string>

#include "engine/connection/close_reason.h"

namespace ringmaster {
namespace {

FigureFamily FamilyOf(std::string_view name) {
  if (!name.starts_with(kRefusedPrefix)) return {};
  return {kRefusedFamily, "connections refused at the door", "reason",
          name.substr(kRefusedPrefix.size())};
}

}  // namespace

void ForEachFigure(const WorkerCounters& counters,
                   const std::function<void(const Figure&)>& visit) {
#define RINGMASTER_VISIT_COUNTER(field, description) \
  visit({#field, description, FigureKind::kCounter, FamilyOf(#field), counters.field});
  RINGMASTER_COUNTERS(RINGMASTER_VISIT_COUNTER)
#undef RINGMASTER_VISIT_COUNTER
#define RINGMASTER_VISIT_GAUGE(field, description) \
  visit({#field, description, FigureKind::kGauge, {}, counters.field});
  RINGMASTER_GAUGES(RINGMASTER_VISIT_GAUGE)
#undef RINGMASTER_VISIT_GAUGE
  for (int i = 1; i < kCloseReasonCount; ++i) {
    const std::string_view reason = CloseReasonName(static_cast<CloseReason>(i));
    const std::string name = fmt::format("closed_{}", reason);
    const std::string description = fmt::format("connections closed: {}", reason);
    visit({name,
           description,
           FigureKind::kCounter,
           {kClosedFamily, "connections closed", "reason", reason},
           counters.closed_by_reason[i]});
  }
  for (int slot = 0; slot < CounterNames::count(); ++slot) {
    visit({CounterNames::name(slot), CounterNames::description(slot), CounterNames::kind(slot),
           CounterNames::family(slot), counters.protocol[slot]});
  }
}

void ForEachHistogram(const WorkerCounters& counters,
                      const std::function<void(const TimedFigure&)>& visit) {
  visit({"handler_time", "time a handler took for one request or message", counters.handler_time});
  visit({"queue_time", "time a request or message waited in its turn of the loop",
         counters.queue_time});
  visit({"turn_time", "time a turn of the loop took, without its wait", counters.turn_time});
}

void ResetGauges(WorkerCounters& counters) {
#define RINGMASTER_RESET_GAUGE(field, description) counters.field.Set(0);
  RINGMASTER_GAUGES(RINGMASTER_RESET_GAUGE)
#undef RINGMASTER_RESET_GAUGE
  for (int slot = 0; slot < CounterNames::count(); ++slot) {
    if (CounterNames::kind(slot) == FigureKind::kGauge) counters.protocol[slot].Set(0);
  }
}

}  // namespace ringmaster
