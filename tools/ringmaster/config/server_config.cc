#include "tools/ringmaster/config/server_config.h"

#include "engine/base/check.h"

namespace ringmaster::config {

std::string_view RouteTypeName(RouteType type) {
  switch (type) {
    case RouteType::kText:
      return "text";
    case RouteType::kJson:
      return "json";
    case RouteType::kEcho:
      return "echo";
    case RouteType::kStatic:
      return "static";
    case RouteType::kPage:
      return "page";
    case RouteType::kStatus:
      return "status";
    case RouteType::kWebsocketEcho:
      return "websocket-echo";
  }
  return "";
}

RequestLimits RouteLimits::Over(RequestLimits base) const {
  base.body_bytes_max = body_bytes_max.value_or(base.body_bytes_max);
  base.message_bytes_max = message_bytes_max.value_or(base.message_bytes_max);
  base.message_fragments_max = message_fragments_max.value_or(base.message_fragments_max);
  return base;
}

StreamOptions RouteConfig::StreamFor(const ListenerConfig& listener) const {
  StreamOptions stream = listener.definition.stream;
  stream.timeouts = WithOverrides(stream.timeouts, timeouts);
  stream.body_rate_bytes_min = limits.body_rate_bytes_min.value_or(stream.body_rate_bytes_min);
  stream.body_grace = limits.body_grace.value_or(stream.body_grace);
  stream.request_rate = limits.request_rate.value_or(stream.request_rate);
  stream.message_rate = limits.message_rate.value_or(stream.message_rate);
  stream.send_queue_policy = limits.send_queue_policy.value_or(stream.send_queue_policy);
  return stream;
}

ServerConfig::ServerConfig() {
  ListenerConfig listener;
  absl::StatusOr<Address> address = Address::Parse("127.0.0.1:8080");
  CHECK(address.ok());
  listener.definition.address = *address;
  listeners.push_back(std::move(listener));
}

}  // namespace ringmaster::config
