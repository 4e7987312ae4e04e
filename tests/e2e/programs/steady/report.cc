#include "tests/e2e/programs/steady/report.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <functional>
#include <iterator>

namespace steady {
namespace {

constexpr size_t kFirstFailures = 10;

constexpr std::array<std::string_view, kTrafficCount> kTrafficNames = {
    "connects", "keepalive", "websockets", "idle_websockets"};
constexpr std::array<std::string_view, kFailureCount> kFailureNames = {
    "refused",    "reset",  "truncated",          "wrong", "timed_out", "lost", "reordered",
    "duplicated", "closed", "no_close_handshake", "local"};
constexpr std::array<std::string_view, kEventCount> kEventNames = {
    "started",         "answered",           "opened", "told_to_close", "raced_close",
    "closed_idle",     "reset_after_answer", "late",   "pings",         "pongs",
    "close_handshakes"};

// Bytes above 0x7F are taken as Latin-1: a header's value is no more than that.
std::string JsonString(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7F) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out += '"';
}

std::string LatencyJson(const Histogram& latency) {
  return fmt::format(R"({{"count":{},"p50":{:.3f},"p99":{:.3f},"p999":{:.3f},"max":{:.3f}}})",
                     latency.count(), latency.PercentileMs(0.5), latency.PercentileMs(0.99),
                     latency.PercentileMs(0.999), latency.max_ms());
}

template <size_t kCount>
std::string CountsJson(const std::array<std::string_view, kCount>& names,
                       const std::array<uint64_t, kCount>& counts) {
  std::string out;
  for (size_t i = 0; i < kCount; ++i) {
    out += fmt::format(R"({}"{}":{})", i == 0 ? "" : ",", names[i], counts[i]);
  }
  return out;
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

int64_t UnixMs() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000 + now.tv_nsec / kMillisecond;
}

}  // namespace

Report::Report(Nanoseconds started_at) : started_at_(started_at), started_unix_ms_(UnixMs()) {}

void Report::Fail(Failure failure, const Where& where, std::string_view what) {
  ++failure_count_;
  ++tally(where.traffic).failures[static_cast<size_t>(failure)];
  if (first_failures_.size() >= kFirstFailures) return;
  first_failures_.push_back(fmt::format(
      R"({{"kind":"{}","class":"{}","connection":{},"sequence":{},"local_port":{},"ms":{:.1f},)"
      R"("what":{}}})",
      kTrafficNames[static_cast<size_t>(where.traffic)],
      kFailureNames[static_cast<size_t>(failure)], where.connection, where.sequence,
      where.local_port, SinceStartMs(MonotonicNow()), JsonString(what)));
}

void Report::Count(Traffic traffic, Event event, uint64_t count) {
  tally(traffic).events[static_cast<size_t>(event)] += count;
}

void Report::Answered(Traffic traffic, Nanoseconds scheduled_at) {
  Tally& its = tally(traffic);
  const Nanoseconds latency = MonotonicNow() - scheduled_at;
  its.latency.Record(latency);
  its.worst_since_progress = std::max(its.worst_since_progress, latency);
  Count(traffic, Event::kAnswered);
}

void Report::ScheduleServed(Nanoseconds scheduled_at) {
  schedule_late_.Record(MonotonicNow() - scheduled_at);
}

void Report::SawGeneration(Traffic traffic, std::string_view value) {
  const Nanoseconds now = MonotonicNow();
  auto found = generations_.find(value);
  if (found == generations_.end()) {
    found = generations_.emplace(value, Generation{.first_at = now}).first;
  }
  Generation& generation = found->second;
  ++(traffic == Traffic::kConnects ? generation.connects : generation.keepalive);
  generation.last_at = now;
}

void Report::TrafficEnds(Nanoseconds now, std::string_view why) {
  traffic_ended_at_ = now;
  ended_by_ = why;
}

uint64_t Report::failures(Traffic traffic) const {
  uint64_t sum = 0;
  for (const uint64_t count : tallies_[static_cast<size_t>(traffic)].failures) sum += count;
  return sum;
}

uint64_t Report::count(Traffic traffic, Event event) const {
  return tallies_[static_cast<size_t>(traffic)].events[static_cast<size_t>(event)];
}

double Report::SinceStartMs(Nanoseconds at) const {
  return static_cast<double>(at - started_at_) / 1e6;
}

std::string Report::Progress(Nanoseconds now) {
  std::string out = fmt::format("{:.1f} s:", static_cast<double>(now - started_at_) / 1e9);
  for (size_t i = 0; i < kTrafficCount; ++i) {
    Tally& its = tallies_[i];
    const uint64_t answered = its.events[static_cast<size_t>(Event::kAnswered)];
    const uint64_t failed = failures(static_cast<Traffic>(i));
    const uint64_t more = answered - its.answered_at_progress;
    if (answered + failed == 0) continue;
    out += fmt::format(" {} {} answered, worst {:.1f} ms, {} failed in all;", kTrafficNames[i],
                       more, static_cast<double>(its.worst_since_progress) / 1e6, failed);
    its.answered_at_progress = answered;
    its.worst_since_progress = 0;
  }
  return out;
}

std::string Report::Json() const {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const double ran = static_cast<double>(MonotonicNow() - started_at_) / 1e9;
  const double user = Seconds(usage.ru_utime);
  const double system = Seconds(usage.ru_stime);
  const Nanoseconds traffic = traffic_began_at_ == 0 ? 0 : traffic_ended_at_ - traffic_began_at_;
  std::string out = fmt::format(
      R"({{"failed":{},"ended_by":"{}","started_unix_ms":{},"traffic_began_ms":{:.1f},)"
      R"("traffic_seconds":{:.3f},"cpu":{{"user_seconds":{:.3f},"system_seconds":{:.3f},)"
      R"("share":{:.4f}}},"schedule_late_ms":{})",
      failure_count_, ended_by_, started_unix_ms_,
      traffic_began_at_ == 0 ? 0 : SinceStartMs(traffic_began_at_),
      static_cast<double>(traffic) / 1e9, user, system, (user + system) / ran,
      LatencyJson(schedule_late_));
  for (size_t i = 0; i < kTrafficCount; ++i) {
    const Tally& its = tallies_[i];
    out += fmt::format(R"(,"{}":{{{},"failures":{{{}}},"latency_ms":{}}})", kTrafficNames[i],
                       CountsJson(kEventNames, its.events), CountsJson(kFailureNames, its.failures),
                       LatencyJson(its.latency));
  }
  out += R"(,"close_codes":{)";
  std::string_view comma;
  for (const auto& [code, count] : close_codes_) {
    out += fmt::format(R"({}"{}":{})", comma, code, count);
    comma = ",";
  }
  out += R"(},"generations":[)";
  comma = "";
  for (const auto& [value, generation] : generations_) {
    out += fmt::format(
        R"({}{{"value":{},"count":{},"connects":{},"keepalive":{},"first_ms":{:.1f},)"
        R"("last_ms":{:.1f}}})",
        comma, JsonString(value), generation.connects + generation.keepalive, generation.connects,
        generation.keepalive, SinceStartMs(generation.first_at), SinceStartMs(generation.last_at));
    comma = ",";
  }
  out += fmt::format(R"(],"without_generation":{},"first_failures":[{}]}})", without_generation_,
                     fmt::join(first_failures_, ","));
  return out;
}

}  // namespace steady
