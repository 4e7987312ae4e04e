#include "tools/ringmaster/config/limits_reader.h"

#include "protocols/http/codec/request_head.h"
#include "protocols/websocket/codec/origin.h"

namespace ringmaster::config {
namespace {

// A request line and a Host field need about 40 bytes; below 256 no browser gets in.
constexpr uint64_t kHeaderBytesMin = 256;
// Heads are parsed in one piece: beyond this the parser's offsets and the memory of a worker
// suffer.
constexpr uint64_t kHeaderBytesMax = 1u << 20;
constexpr uint64_t kBodyBytesMax = 1ull << 40;
// Bytes per second; a gigabyte a second is more than anybody means.
constexpr uint64_t kBodyRateBytesMax = 1ull << 30;
// A message is collected in memory before its handler sees it.
constexpr uint64_t kMessageBytesMax = 1ull << 30;
constexpr int64_t kFragmentsMax = 1 << 24;

}  // namespace

void ReadRequestLimits(ConfigObject& object, RequestLimits& out) {
  object.ReadBytes("header_bytes_max", out.header_bytes_max, kHeaderBytesMin, kHeaderBytesMax);
  object.Read("header_count_max", out.header_count_max, 1,
              static_cast<int64_t>(http::RequestHead::kFieldsMax));
  object.ReadBytes("body_bytes_max", out.body_bytes_max, 0, kBodyBytesMax);
  object.ReadBytes("message_bytes_max", out.message_bytes_max, 1, kMessageBytesMax);
  object.Read("message_fragments_max", out.message_fragments_max, 1, kFragmentsMax);
  object.Read("pipelined_requests_max", out.pipelined_requests_max, 1, 65536);
  object.Read("requests_per_connection_max", out.requests_per_connection_max);
}

void ReadRouteLimits(ConfigObject& object, RouteLimits& out) {
  uint64_t bytes = 0;
  if (object.ReadBytes("body_bytes_max", bytes, 0, kBodyBytesMax)) out.body_bytes_max = bytes;
  if (object.ReadBytes("message_bytes_max", bytes, 1, kMessageBytesMax)) {
    out.message_bytes_max = bytes;
  }
  uint32_t fragments = 0;
  if (object.Read("message_fragments_max", fragments, 1, kFragmentsMax)) {
    out.message_fragments_max = fragments;
  }
  if (object.ReadBytes("body_rate_bytes_min", bytes, 0, kBodyRateBytesMax)) {
    out.body_rate_bytes_min = bytes;
  }
  Duration grace;
  if (object.Read("body_grace", grace)) out.body_grace = grace;
  RateLimit rate;
  if (object.Read("request_rate", rate)) out.request_rate = rate;
  if (object.Read("message_rate", rate)) out.message_rate = rate;
  SendQueuePolicy policy = SendQueuePolicy::kRefuse;
  if (ReadSendQueuePolicy(object, policy)) out.send_queue_policy = policy;
}

void ReadOrigin(ConfigObject& object,
                const std::function<absl::Status(const std::string& entry)>& check,
                OriginConfig& out) {
  if (const auto list = object.Get("allowed_origins")) {
    std::vector<std::string> origins;
    for (const ConfigValue& item : list->Items()) {
      std::string origin;
      if (!item.Read(origin)) continue;
      const absl::Status status =
          check ? check(origin)
                : websocket::OriginPolicy::FromEntries(std::span(&origin, 1)).status();
      if (!status.ok()) item.Fail(std::string(status.message()));
      origins.push_back(std::move(origin));
    }
    out.allowed_origins = std::move(origins);
  }
  constexpr std::pair<std::string_view, bool> kMissing[] = {{"allow", true}, {"deny", false}};
  bool allow = false;
  if (object.ReadChoice("missing_origin", allow, kMissing)) out.allow_missing_origin = allow;
}

}  // namespace ringmaster::config
