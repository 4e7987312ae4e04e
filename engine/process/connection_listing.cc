#include "engine/process/connection_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <compare>
#include <cstring>
#include <iterator>

#include "engine/base/json_string.h"
#include "engine/config/units.h"
#include "engine/connection/connection_id.h"
#include "engine/stats/human_units.h"

namespace ringmaster {
namespace {

constexpr std::array<std::string_view, 12> kSortKeys = {"id",       "worker", "protocol", "peer",
                                                        "age",      "idle",   "in",       "out",
                                                        "messages", "queue",  "deadline", "state"};

constexpr char kRow[] =
    "{:<14} {:>6} {:<12} {:<22} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:<10} {}\n";

template <typename Integer>
bool ParseInteger(std::string_view text, Integer& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

std::string_view TakeUntil(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return taken;
}

// Below 0, equal, or above: `a` in front of `b`, either, behind.
std::strong_ordering Compare(std::string_view key, const ConnectionRecord& a,
                             const ConnectionRecord& b) {
  if (key == "age") return a.opened_at <=> b.opened_at;
  if (key == "idle") return a.last_activity <=> b.last_activity;
  if (key == "in") return b.bytes_received <=> a.bytes_received;
  if (key == "out") return b.bytes_sent <=> a.bytes_sent;
  if (key == "messages") return b.messages <=> a.messages;
  if (key == "queue") return b.queue_bytes <=> a.queue_bytes;
  if (key == "deadline") return a.deadline <=> b.deadline;
  if (key == "worker") return a.worker <=> b.worker;
  if (key == "protocol") return a.protocol_name() <=> b.protocol_name();
  if (key == "state") return a.state <=> b.state;
  if (key == "peer") {
    if (a.peer.family != b.peer.family) return a.peer.family <=> b.peer.family;
    const int order = std::memcmp(a.peer.bytes, b.peer.bytes, sizeof(a.peer.bytes));
    return order != 0 ? order <=> 0 : a.peer.port <=> b.peer.port;
  }
  return a.id <=> b.id;
}

bool Matches(const ConnectionRecord& record, const ConnectionQuery& query, TimePoint now) {
  return (!query.worker || record.worker == *query.worker) &&
         (query.peers.empty() || query.peers.Contains(record.peer)) &&
         (query.protocol.empty() || record.protocol_name() == query.protocol) &&
         (query.state.empty() || ConnectionStateName(record.state) == query.state) &&
         now - record.last_activity >= query.idle_min.count() &&
         now - record.opened_at >= query.age_min.count() &&
         record.queue_bytes >= query.queue_bytes_min;
}

double Seconds(int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }

std::string HumanTime(int64_t nanoseconds) {
  return HumanUptime(std::max(Seconds(nanoseconds), 0.0));
}

std::string DeadlineText(const ConnectionRecord& record, TimePoint now) {
  if (record.deadline == kNever) return "-";
  return fmt::format("{} in {}", CloseReasonName(record.deadline_reason),
                     HumanTime(record.deadline - now));
}

std::string ProtocolText(const ConnectionRecord& record) {
  const std::string_view name = record.protocol_name();
  return fmt::format("{}{}", name.empty() ? "-" : name, record.outbound ? " (out)" : "");
}

std::string QuotedList(const auto& words) { return fmt::format("{}", fmt::join(words, ", ")); }

absl::Status WrongValue(std::string_view option, std::string_view value, std::string_view right) {
  return absl::InvalidArgumentError(fmt::format("{} takes {}, not \"{}\"", option, right, value));
}

absl::Status ApplyOption(std::string_view option, const std::string& value,
                         ConnectionQuery& query) {
  if (option == "--sort") {
    if (std::find(kSortKeys.begin(), kSortKeys.end(), value) == kSortKeys.end()) {
      return WrongValue(option, value, "one of " + QuotedList(kSortKeys));
    }
    query.sort = value;
  } else if (option == "--top") {
    uint64_t top = 0;
    if (!ParseInteger(value, top)) return WrongValue(option, value, "a number");
    query.top = top;
  } else if (option == "--worker") {
    uint32_t worker = 0;
    if (!ParseInteger(value, worker)) return WrongValue(option, value, "a worker's number");
    query.worker = worker;
  } else if (option == "--peer") {
    return query.peers.Add(value);
  } else if (option == "--protocol") {
    query.protocol = value;
  } else if (option == "--state") {
    constexpr std::string_view kStates[] = {"connecting", "open", "flushing", "lingering",
                                            "closing"};
    if (std::find(std::begin(kStates), std::end(kStates), value) == std::end(kStates)) {
      return WrongValue(option, value, "one of " + QuotedList(kStates));
    }
    query.state = value;
  } else if (option == "--min-idle" || option == "--min-age") {
    const std::optional<Duration> duration = config::ParseDuration(value);
    if (!duration) return WrongValue(option, value, "a duration such as 30s or 5m");
    (option == "--min-idle" ? query.idle_min : query.age_min) = *duration;
  } else if (option == "--min-queue") {
    const std::optional<uint64_t> bytes = config::ParseByteSize(value);
    if (!bytes) return WrongValue(option, value, "a size such as 64KiB");
    query.queue_bytes_min = *bytes;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ConnectionListing> ConnectionListing::Parse(std::string_view answer) {
  ConnectionListing listing;
  std::string_view line = TakeUntil(answer, '\n');
  uint32_t layout = 0;
  size_t record_bytes = 0;
  size_t worker_count = 0;
  if (TakeUntil(line, ' ') != "connections" || !ParseInteger(TakeUntil(line, ' '), layout) ||
      !ParseInteger(TakeUntil(line, ' '), record_bytes) ||
      !ParseInteger(TakeUntil(line, ' '), listing.now) ||
      !ParseInteger(TakeUntil(line, ' '), worker_count) || layout != ConnectionRecord::kLayout ||
      record_bytes != sizeof(ConnectionRecord)) {
    return absl::InternalError(
        "the server is of another release than this program: use that one's command");
  }
  for (size_t i = 0; i < worker_count; ++i) {
    line = TakeUntil(answer, '\n');
    Worker worker;
    const bool named =
        TakeUntil(line, ' ') == "worker" && ParseInteger(TakeUntil(line, ' '), worker.index);
    worker.state = TakeUntil(line, ' ');
    if (!named || !ParseInteger(line, worker.count) ||
        answer.size() / sizeof(ConnectionRecord) < worker.count) {
      return absl::InternalError("the master's answer is cut short");
    }
    const size_t before = listing.records.size();
    listing.records.resize(before + worker.count);
    // An empty vector has no address, and memcpy(3) takes no null, not even for nothing.
    if (worker.count > 0) {
      std::memcpy(static_cast<void*>(listing.records.data() + before), answer.data(),
                  worker.count * sizeof(ConnectionRecord));
    }
    answer.remove_prefix(worker.count * sizeof(ConnectionRecord));
    listing.workers.push_back(std::move(worker));
  }
  return listing;
}

bool ConnectionQuery::IsOption(std::string_view word) {
  constexpr std::string_view kOptions[] = {"--sort",     "--top",      "--worker",
                                           "--peer",     "--protocol", "--state",
                                           "--min-idle", "--min-age",  "--min-queue"};
  return std::find(std::begin(kOptions), std::end(kOptions), word) != std::end(kOptions);
}

absl::StatusOr<ConnectionQuery> ConnectionQuery::FromOptions(
    const std::vector<std::pair<std::string, std::string>>& options) {
  ConnectionQuery query;
  for (const auto& [option, value] : options) {
    if (absl::Status status = ApplyOption(option, value, query); !status.ok()) return status;
  }
  return query;
}

std::vector<ConnectionRecord> Select(const std::vector<ConnectionRecord>& records,
                                     const ConnectionQuery& query, TimePoint now) {
  std::vector<ConnectionRecord> selected;
  std::copy_if(records.begin(), records.end(), std::back_inserter(selected),
               [&](const ConnectionRecord& record) { return Matches(record, query, now); });
  std::sort(selected.begin(), selected.end(),
            [&](const ConnectionRecord& a, const ConnectionRecord& b) {
              const std::strong_ordering order = Compare(query.sort, a, b);
              return order != 0 ? order < 0 : a.id < b.id;
            });
  if (query.top && selected.size() > *query.top) selected.resize(*query.top);
  return selected;
}

std::string ConnectionsTable(const ConnectionListing& listing,
                             const std::vector<ConnectionRecord>& selected) {
  std::string out = fmt::format(kRow, "id", "worker", "protocol", "peer", "age", "idle", "in",
                                "out", "messages", "queue", "state", "next deadline");
  for (const ConnectionRecord& record : selected) {
    fmt::format_to(std::back_inserter(out), kRow, FormatConnectionId(record.id), record.worker,
                   ProtocolText(record), record.peer.ToString(),
                   HumanTime(listing.now - record.opened_at),
                   HumanTime(listing.now - record.last_activity), HumanBytes(record.bytes_received),
                   HumanBytes(record.bytes_sent), record.messages, HumanBytes(record.queue_bytes),
                   ConnectionStateName(record.state), DeadlineText(record, listing.now));
  }
  fmt::format_to(std::back_inserter(out), "{} of {} connections\n", selected.size(),
                 listing.records.size());
  for (const ConnectionListing::Worker& worker : listing.workers) {
    if (worker.state == "busy") {
      fmt::format_to(std::back_inserter(out),
                     "worker {} is busy: no answer, its connections are not listed\n",
                     worker.index);
    } else if (worker.state != "listed") {
      fmt::format_to(std::back_inserter(out), "worker {} does not run\n", worker.index);
    }
  }
  return out;
}

std::string ConnectionsJson(const ConnectionListing& listing,
                            const std::vector<ConnectionRecord>& selected) {
  std::string out = "{\"workers\":[";
  auto back = std::back_inserter(out);
  for (const ConnectionListing::Worker& worker : listing.workers) {
    fmt::format_to(back, R"({}{{"index":{},"state":"{}","connections":{}}})",
                   out.back() == '[' ? "" : ",", worker.index, worker.state, worker.count);
  }
  fmt::format_to(back, R"(],"total":{},"connections":[)", listing.records.size());
  for (const ConnectionRecord& record : selected) {
    fmt::format_to(back, R"({}{{"id":"{}","worker":{},"protocol":)", out.back() == '[' ? "" : ",",
                   FormatConnectionId(record.id), record.worker);
    AppendJsonString(out, record.protocol_name());
    fmt::format_to(
        back,
        R"(,"outbound":{},"peer":"{}","age_seconds":{:.3f},"idle_seconds":{:.3f},)"
        R"("bytes_received":{},"bytes_sent":{},"messages":{},"queue_bytes":{},"state":"{}")",
        record.outbound, record.peer.ToString(), Seconds(listing.now - record.opened_at),
        Seconds(listing.now - record.last_activity), record.bytes_received, record.bytes_sent,
        record.messages, record.queue_bytes, ConnectionStateName(record.state));
    if (record.deadline != kNever) {
      fmt::format_to(back, R"(,"deadline":{{"reason":"{}","in_seconds":{:.3f}}})",
                     CloseReasonName(record.deadline_reason),
                     Seconds(record.deadline - listing.now));
    }
    out += '}';
  }
  out += "]}\n";
  return out;
}

}  // namespace ringmaster
