#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/config/engine_options_reader.h"
#include "engine/server.h"
#include "protocols/http/service/client_address.h"

// The whole configuration of the stock server, checked and with every default filled in. Plain
// values: nothing here opens, binds or serves.

namespace ringmaster::config {

// What one connection may ask for.
struct RequestLimits {
  uint32_t header_bytes_max = 16 * 1024;
  uint32_t header_count_max = 100;
  uint64_t body_bytes_max = 1u << 20;
  uint64_t message_bytes_max = 1u << 20;
  uint32_t message_fragments_max = 16 * 1024;
  uint32_t pipelined_requests_max = 128;
  uint32_t requests_per_connection_max = 0;  // 0 = no bound

  bool operator==(const RequestLimits&) const = default;
};

struct OriginConfig {
  // As written. No list, or an empty one: same origin only. An empty one takes back a list that
  // stands at the root.
  std::optional<std::vector<std::string>> allowed_origins;
  // A handshake without Origin: true = allow. Unset: denied where a list is set, else allowed.
  std::optional<bool> allow_missing_origin;

  bool operator==(const OriginConfig&) const = default;
};

struct LoggingConfig {
  enum class AccessLog : uint8_t { kOff, kStderr, kFile };
  AccessLog access_log = AccessLog::kOff;
  std::string access_log_file;  // with kFile

  bool operator==(const LoggingConfig&) const = default;
};

struct ListenerConfig {
  ListenerDefinition definition;  // without a protocol; its stream bounds inherit from the root
  RequestLimits limits;           // inherit from the root
  http::ClientAddressSource client_address = http::ClientAddressSource::kPeer;

  bool operator==(const ListenerConfig&) const = default;
};

enum class RouteType : uint8_t {
  kText,           // body, content_type, status
  kJson,           // body (any JSON value), status
  kEcho,           // the request's body
  kStatic,         // files of a directory, below the path
  kPage,           // the demonstration page
  kStatus,         // live numbers as JSON
  kWebsocketEcho,  // the peer's messages
};
inline constexpr int kRouteTypeCount = 7;
// "text", "websocket-echo", ...: as in the file.
std::string_view RouteTypeName(RouteType type);

// Overrides of what the listener says, for one route.
struct RouteLimits {
  std::optional<uint64_t> body_bytes_max;
  std::optional<uint64_t> body_rate_bytes_min;
  std::optional<Duration> body_grace;
  std::optional<uint64_t> message_bytes_max;
  std::optional<uint32_t> message_fragments_max;
  std::optional<RateLimit> request_rate;
  std::optional<RateLimit> message_rate;
  std::optional<SendQueuePolicy> send_queue_policy;

  RequestLimits Over(RequestLimits base) const;
  bool operator==(const RouteLimits&) const = default;
};

struct RouteConfig {
  std::string path;
  RouteType type = RouteType::kText;
  // Empty = any method. HEAD comes with GET.
  std::vector<std::string> methods;
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;       // of text; of json, minified
  std::string directory;  // of static; absolute
  OriginConfig origin;    // of websocket-echo; inherits from websocket at the root
  TimeoutOverrides timeouts;
  RouteLimits limits;

  // The bounds of a connection on this route that came in on `listener`.
  StreamOptions StreamFor(const ListenerConfig& listener) const;
  RequestLimits LimitsFor(const ListenerConfig& listener) const {
    return limits.Over(listener.limits);
  }
  bool operator==(const RouteConfig&) const = default;
};

struct ServerConfig {
  ServerConfig();  // the defaults: one listener on 127.0.0.1:8080, no route

  ServerOptions server;
  LoggingConfig logging;
  StreamOptions stream;  // what listeners inherit
  RequestLimits limits;  // what listeners inherit
  AtLimit at_limit = AtLimit::kWait;
  CidrSet trusted_proxies;
  http::ClientAddressSource client_address = http::ClientAddressSource::kPeer;
  // Of every answer, with the generation of the worker that gives it; empty = none.
  std::string generation_header;
  OriginConfig websocket;
  std::vector<ListenerConfig> listeners;
  std::vector<RouteConfig> routes;

  bool operator==(const ServerConfig&) const = default;
};

}  // namespace ringmaster::config
