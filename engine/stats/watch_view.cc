#include "engine/stats/watch_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include "engine/base/json_string.h"
#include "engine/stats/human_units.h"
#include "engine/stats/status_json.h"

namespace ringmaster {
namespace {

constexpr char kWorkerRow[] =
    "{:<9} {:>7} {:<10} {:>7} {:>7} {:>7} {:>9} {:>9} {:>8} {:>8} {:>6} {:>9}";
constexpr char kTimeRow[] = "{:<9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}";
constexpr char kCauseRow[] = "{:<30} {:>9}   {:<30} {:>9}";
// Reasons shown at most; the screen may have room for fewer.
constexpr size_t kCausesMax = 8;
// Below this many worker rows a small screen shows no reasons.
constexpr int kWorkerRowsMin = 3;

// What happened between two snapshots.
struct Interval {
  double seconds = 0;  // 0: there is none yet

  std::string Rate(uint64_t count) const {
    return seconds <= 0 ? "-" : HumanRate(static_cast<double>(count) / seconds);
  }
  std::string ByteRate(uint64_t bytes) const {
    if (seconds <= 0) return "-";
    return HumanBytes(static_cast<uint64_t>(std::llround(static_cast<double>(bytes) / seconds)));
  }
};

double SecondsBetween(const StatusSnapshot* before, const StatusSnapshot& now) {
  // Another server of the same name has another clock.
  if (before == nullptr || before->pid != now.pid) return 0;
  return std::max(0.0, now.uptime_seconds - before->uptime_seconds);
}

std::string EntersPerTurn(const FigureSet& figures) {
  const uint64_t turns = figures.Get("loop_turns");
  if (turns == 0) return "-";
  return fmt::format("{:.2f}",
                     static_cast<double>(figures.Get("ring_enters")) / static_cast<double>(turns));
}

std::string WorkerRow(const Interval& interval, const std::string& who, const std::string& pid,
                      const std::string& state, const FiguresSnapshot& since, uint64_t stalls,
                      uint64_t memory_bytes) {
  const FigureSet& figures = since.figures;
  return fmt::format(
      kWorkerRow, who, pid, state, figures.Get("connections_open"),
      interval.Rate(figures.Get("connections_accepted")), interval.Rate(figures.Get("messages")),
      interval.ByteRate(figures.Get("bytes_received")),
      interval.ByteRate(figures.Get("bytes_sent")), HumanPercentile(since.handler_time, 50),
      HumanPercentile(since.handler_time, 99), stalls, HumanBytes(memory_bytes));
}

std::string TimeRow(const Interval& interval, std::string_view name,
                    const HistogramSnapshot& histogram) {
  const std::string longest = histogram.count() == 0 ? "-" : HumanNanoseconds(histogram.max());
  return fmt::format(kTimeRow, name, interval.Rate(histogram.count()),
                     HumanPercentile(histogram, 50), HumanPercentile(histogram, 90),
                     HumanPercentile(histogram, 99), HumanPercentile(histogram, 99.9),
                     HumanPercentile(histogram, 99.99), longest);
}

// Control characters of a name would steer the terminal. Wide characters are not accounted for.
std::string Fit(std::string_view text, int columns) {
  std::string out;
  int width = 0;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    const bool continues = (byte & 0xC0) == 0x80;
    if (!continues && ++width > columns) break;
    out += byte < 0x20 || byte == 0x7F ? '?' : c;
  }
  return out;
}

std::vector<ScreenLine> CauseLines(const Interval& interval, const FigureSet& since) {
  const std::vector<Cause> closed = ClosedCauses(since);
  const std::vector<Cause> refused = RefusedCauses(since);
  std::vector<ScreenLine> lines;
  lines.push_back({"", false});
  lines.push_back(
      {fmt::format(kCauseRow, "closed, by reason", "per s", "refused, by reason", "per s"), true});
  const size_t count = std::min(std::max({closed.size(), refused.size(), size_t{1}}), kCausesMax);
  const auto cell = [&interval](const std::vector<Cause>& causes, size_t i) {
    if (interval.seconds > 0 && i < causes.size()) {
      return std::pair{causes[i].name, interval.Rate(causes[i].count)};
    }
    const char* nothing = interval.seconds > 0 ? "none" : "-";
    return std::pair{std::string(i == 0 ? nothing : ""), std::string()};
  };
  for (size_t i = 0; i < count; ++i) {
    const auto [closed_name, closed_rate] = cell(closed, i);
    const auto [refused_name, refused_rate] = cell(refused, i);
    lines.push_back(
        {fmt::format(kCauseRow, closed_name, closed_rate, refused_name, refused_rate), false});
  }
  return lines;
}

const WorkerSnapshot* Find(const StatusSnapshot* status, uint32_t index) {
  if (status == nullptr) return nullptr;
  for (const WorkerSnapshot& worker : status->workers) {
    if (worker.index == index) return &worker;
  }
  return nullptr;
}

}  // namespace

std::vector<ScreenLine> RenderWatch(const StatusSnapshot* before, const StatusSnapshot& now,
                                    const std::string& interval_text, ScreenSize size) {
  const Interval interval{SecondsBetween(before, now)};
  if (interval.seconds <= 0) before = nullptr;

  std::vector<ScreenLine> rows;
  const FiguresSnapshot totals =
      before == nullptr ? now.Totals() : now.Totals().Since(before->Totals());
  uint64_t memory = now.memory.resident_bytes();
  uint64_t stalls = 0;
  for (const WorkerSnapshot& worker : now.workers) {
    const WorkerSnapshot* earlier = Find(before, worker.index);
    // The first screen has no interval: then the percentiles are of the whole run. A worker that
    // has come since counts on from what another has counted in its slot.
    const FiguresSnapshot since = before == nullptr    ? worker.counted
                                  : earlier == nullptr ? worker.counted.Since(worker.counted)
                                                       : worker.counted.Since(earlier->counted);
    const uint64_t worker_stalls = worker.counted.figures.Get("handler_stalls");
    rows.push_back({WorkerRow(interval, fmt::format("worker {}", worker.index),
                              worker.pid > 0 ? fmt::to_string(worker.pid) : "-", worker.state,
                              since, worker_stalls, worker.memory.resident_bytes()),
                    false});
    memory += worker.memory.resident_bytes();
    stalls += worker_stalls;
  }

  std::vector<ScreenLine> lines;
  lines.push_back({fmt::format("{} {}  pid {}  up {}  every {}  q quits", now.name, now.version,
                               now.pid, HumanUptime(now.uptime_seconds), interval_text),
                   true});
  const FigureSet& figures = totals.figures;
  lines.push_back(
      {fmt::format(
           "open {}   accepted/s {}   closed/s {}   refused/s {}   messages/s {}"
           "   enters/turn {}   restarts {}",
           figures.Get("connections_open"), interval.Rate(figures.Get("connections_accepted")),
           interval.Rate(figures.Get("connections_closed")), interval.Rate(totals.refused()),
           interval.Rate(figures.Get("messages")), EntersPerTurn(figures), now.restarts()),
       false});
  lines.push_back({"", false});
  lines.push_back(
      {fmt::format(kTimeRow, "time", "per s", "p50", "p90", "p99", "p99.9", "p99.99", "max"),
       true});
  lines.push_back({TimeRow(interval, "handler", totals.handler_time), false});
  lines.push_back({TimeRow(interval, "queue", totals.queue_time), false});
  lines.push_back({TimeRow(interval, "turn", totals.turn_time), false});
  lines.push_back({"", false});
  lines.push_back({fmt::format(kWorkerRow, "worker", "pid", "state", "open", "acc/s", "msg/s",
                               "in/s", "out/s", "p50", "p99", "stalls", "memory"),
                   true});

  const std::vector<ScreenLine> causes = CauseLines(interval, figures);
  // One line for the total; reasons give way before the last few workers do.
  const int left = size.rows - static_cast<int>(lines.size()) - 1;
  const int workers = static_cast<int>(rows.size());
  const int wanted =
      std::min(workers, std::max(kWorkerRowsMin, left - static_cast<int>(causes.size())));
  int shown = std::clamp(wanted, 0, std::max(0, left));
  if (shown < workers && shown > 0) --shown;  // the line that says how many more there are
  std::copy_n(rows.begin(), shown, std::back_inserter(lines));
  if (shown < workers)
    lines.push_back({fmt::format("... {} more workers", workers - shown), false});
  lines.push_back({WorkerRow(interval, "total", "", "", totals, stalls, memory), false});
  lines.insert(lines.end(), causes.begin(), causes.end());

  if (static_cast<int>(lines.size()) > size.rows) {
    lines.resize(static_cast<size_t>(std::max(0, size.rows)));
  }
  for (ScreenLine& line : lines) line.text = Fit(line.text, size.columns);
  return lines;
}

std::string WatchJson(const StatusSnapshot* before, const StatusSnapshot& now) {
  std::string out = StatusJson(now);
  const double seconds = SecondsBetween(before, now);
  if (seconds <= 0) return out;
  const FiguresSnapshot since = now.Totals().Since(before->Totals());
  out.resize(out.rfind('}'));
  fmt::format_to(std::back_inserter(out), R"(,"interval":{{"seconds":{:.3f},"rates":{{)", seconds);
  bool first = true;
  for (const FigureSet::Entry& entry : since.figures.entries()) {
    if (entry.kind == FigureKind::kGauge) continue;
    if (!first) out += ',';
    first = false;
    AppendJsonString(out, entry.name);
    fmt::format_to(std::back_inserter(out), ":{:.3f}", static_cast<double>(entry.value) / seconds);
  }
  out += "},";
  AppendHistogramsJson(out, since, {});
  out += "}}\n";
  return out;
}

}  // namespace ringmaster
