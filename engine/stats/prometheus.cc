#include "engine/stats/prometheus.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <iterator>
#include <string_view>

#include "engine/stats/figures.h"
#include "engine/stats/process_memory.h"

namespace ringmaster {
namespace {

// Upper bounds of the exported buckets, in nanoseconds: 1, 2.5, 5 per decade from a microsecond to
// ten seconds. Prometheus interpolates between them; `status` has the percentiles to 3 %.
constexpr std::array<uint64_t, 22> kBucketBounds = {
    1'000,         2'500,         5'000,         10'000,        25'000,      50'000,
    100'000,       250'000,       500'000,       1'000'000,     2'500'000,   5'000'000,
    10'000'000,    25'000'000,    50'000'000,    100'000'000,   250'000'000, 500'000'000,
    1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000};

// Label values: backslash, quote and line feed are escaped, the rest stands as it is.
std::string Escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

double Seconds(uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }

// Collects samples by metric, since all samples of one stand together behind its HELP and TYPE.
class Exposition {
 public:
  void Add(std::string_view metric, std::string_view type, std::string_view help,
           std::string_view suffix_and_labels, double value) {
    fmt::format_to(std::back_inserter(Find(metric, type, help).samples), "{}{} {}\n", metric,
                   suffix_and_labels, value);
  }
  void Add(std::string_view metric, std::string_view type, std::string_view help,
           std::string_view suffix_and_labels, uint64_t value) {
    fmt::format_to(std::back_inserter(Find(metric, type, help).samples), "{}{} {}\n", metric,
                   suffix_and_labels, value);
  }

  std::string Text() const {
    std::string out;
    for (const Metric& metric : metrics_) {
      fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n{}", metric.name,
                     metric.help, metric.name, metric.type, metric.samples);
    }
    return out;
  }

 private:
  struct Metric {
    std::string name;
    std::string type;
    std::string help;
    std::string samples;
  };

  Metric& Find(std::string_view name, std::string_view type, std::string_view help) {
    const auto found = std::find_if(metrics_.begin(), metrics_.end(),
                                    [name](const Metric& metric) { return metric.name == name; });
    if (found != metrics_.end()) return *found;
    metrics_.push_back({std::string(name), std::string(type), std::string(help), ""});
    return metrics_.back();
  }

  std::deque<Metric> metrics_;
};

// "bytes_received" becomes "ringmaster_received_bytes_total": the unit stands last.
std::string MetricName(std::string_view name, FigureKind kind) {
  std::string text(name);
  if (text.starts_with("bytes_")) text = text.substr(6) + "_bytes";
  return fmt::format("ringmaster_{}{}", text, kind == FigureKind::kCounter ? "_total" : "");
}

void AddFigure(Exposition& out, uint32_t worker, const Figure& figure) {
  const FigureFamily& family = figure.family;
  // The sum over its own labels; saying it twice would double every sum.
  if (family.name.empty() && figure.name == kClosedFamily) return;
  const bool labelled = !family.name.empty();
  const std::string name = MetricName(labelled ? family.name : figure.name, figure.kind);
  const std::string labels = labelled ? fmt::format(R"({{worker="{}",{}="{}"}})", worker,
                                                    family.label, Escape(family.value))
                                      : fmt::format(R"({{worker="{}"}})", worker);
  out.Add(name, figure.kind == FigureKind::kCounter ? "counter" : "gauge",
          labelled ? family.description : figure.description, labels, figure.counter.Get());
}

void AddHistogram(Exposition& out, uint32_t worker, const TimedFigure& figure) {
  const HistogramSnapshot values(figure.histogram);
  const std::string name = fmt::format("ringmaster_{}_seconds", figure.name);
  const auto add = [&](std::string_view suffix_and_labels, auto value) {
    out.Add(name, "histogram", figure.description, suffix_and_labels, value);
  };
  for (const uint64_t bound : kBucketBounds) {
    add(fmt::format(R"(_bucket{{worker="{}",le="{}"}})", worker, Seconds(bound)),
        values.CountUpTo(bound));
  }
  add(fmt::format(R"(_bucket{{worker="{}",le="+Inf"}})", worker), values.count());
  add(fmt::format(R"(_sum{{worker="{}"}})", worker), Seconds(values.sum()));
  add(fmt::format(R"(_count{{worker="{}"}})", worker), values.count());
}

void AddMemory(Exposition& out, std::string_view metric, std::string_view help,
               std::string_view labels_before, int32_t pid) {
  const ProcessMemory memory = ProcessMemory::Of(pid);
  const auto add = [&](std::string_view kind, uint64_t bytes) {
    out.Add(metric, "gauge", help, fmt::format(R"({{{}kind="{}"}})", labels_before, kind), bytes);
  };
  add("anonymous", memory.anonymous_bytes);
  add("file", memory.file_bytes);
  add("shared", memory.shared_bytes);
}

double SecondsBetween(TimePoint since, TimePoint now) {
  return since == 0 || since > now ? 0.0 : static_cast<double>(now - since) / 1e9;
}

void AddServer(Exposition& out, const SharedHeader& header, TimePoint now) {
  out.Add("ringmaster_build_info", "gauge", "the server's name and version",
          fmt::format(R"({{name="{}",version="{}"}})", Escape(header.name), Escape(header.version)),
          uint64_t{1});
  out.Add("ringmaster_generation", "gauge", "how many configurations this server has had", "",
          uint64_t{header.generation.load()});
  const auto reloads = [&](std::string_view result, uint64_t count) {
    out.Add("ringmaster_reloads_total", "counter", "reloads, by how they ended",
            fmt::format(R"({{result="{}"}})", result), count);
  };
  reloads("done", header.reload.done.load());
  reloads("abandoned", header.reload.abandoned.load());
  out.Add("ringmaster_upgrades_total", "counter", "times the master's own program was replaced", "",
          header.reload.upgrades.load());
  const int32_t pid = header.master_pid.load();
  out.Add("ringmaster_master_up", "gauge", "1 while the master runs", "",
          uint64_t{pid > 0 ? 1u : 0u});
  out.Add("ringmaster_master_uptime_seconds", "gauge", "time since the master started", "",
          SecondsBetween(header.started_at.load(), now));
  AddMemory(out, "ringmaster_master_resident_memory_bytes", "resident memory of the master", "",
            pid);
}

void AddWorker(Exposition& out, uint32_t index, const SharedSlot& slot, TimePoint now) {
  const std::string labels = fmt::format(R"({{worker="{}"}})", index);
  const int32_t pid = slot.pid.load();
  out.Add("ringmaster_worker_up", "gauge", "1 while the worker is ready and serves", labels,
          uint64_t{slot.state.load() == SlotState::kReady ? 1u : 0u});
  out.Add("ringmaster_worker_uptime_seconds", "gauge", "time since the worker's process started",
          labels, pid > 0 ? SecondsBetween(slot.started_at.load(), now) : 0.0);
  out.Add("ringmaster_worker_restarts_total", "counter", "workers that died and were replaced",
          labels, slot.restarts.load());
  AddMemory(out, "ringmaster_worker_resident_memory_bytes", "resident memory of the worker",
            fmt::format(R"(worker="{}",)", index), pid);
  ForEachFigure(slot.counters, [&](const Figure& figure) { AddFigure(out, index, figure); });
  ForEachHistogram(slot.counters,
                   [&](const TimedFigure& figure) { AddHistogram(out, index, figure); });
}

}  // namespace

std::string PrometheusText(const SharedBlock& block, TimePoint now) {
  Exposition out;
  AddServer(out, block.header(), now);
  // Slots of workers that are gone, too: their counters must not vanish from a sum.
  for (uint32_t i = 0; i < block.slot_count(); ++i) AddWorker(out, i, block.slot(i), now);
  return out.Text();
}

}  // namespace ringmaster
