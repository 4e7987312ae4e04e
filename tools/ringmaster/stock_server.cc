#include "tools/ringmaster/stock_server.h"

#include <fmt/format.h>

#include <utility>

#include "engine/stats/shared_status.h"
#include "engine/worker/worker.h"
#include "protocols/http/service/request.h"
#include "protocols/http/service/response.h"
#include "protocols/proxy/service/proxy_protocol.h"
#include "tools/ringmaster/demo/page.h"

namespace ringmaster {
namespace {

using config::LoggingConfig;
using config::RouteConfig;
using config::RouteType;

constexpr Duration kAccessLogDelay = std::chrono::seconds(1);

http::ServiceOptions ServiceOptionsOf(const config::ServerConfig& config,
                                      const config::ListenerConfig& listener) {
  const config::RequestLimits& limits = listener.limits;
  http::ServiceOptions options;
  options.generation_header = config.generation_header;
  options.client_address = listener.client_address;
  options.trusted_proxies = listener.definition.trusted_proxies;
  options.head.head_bytes_max = limits.header_bytes_max;
  options.head.fields_max = limits.header_count_max;
  options.pipelined_requests_max = limits.pipelined_requests_max;
  options.requests_per_connection_max = limits.requests_per_connection_max;
  return options;
}

// The route's bounds where they differ from the listener's: switching costs something per request.
std::optional<StreamOptions> OwnStream(const config::ListenerConfig& listener,
                                       const RouteConfig& route) {
  StreamOptions stream = route.StreamFor(listener);
  if (stream == listener.definition.stream) return std::nullopt;
  return stream;
}

}  // namespace

StockServer::StockServer(config::ServerConfig config) : config_(std::move(config)) {
  definition_.options = config_.server;
  definition_.admin_protocol = &admin_.protocol();
  if (config_.logging.access_log != LoggingConfig::AccessLog::kOff) {
    access_log_ = std::make_unique<AccessLogFile>(config_.logging.access_log_file,
                                                  config_.server.log_format == "json");
    definition_.on_worker_open = [this] { return access_log_->Open(); };
    definition_.on_worker_start = [this](Worker& worker) {
      worker.AddTimer(kAccessLogDelay, kAccessLogDelay, [this] { access_log_->Flush(); });
      return absl::OkStatus();
    };
    definition_.on_worker_stop = [this](Worker&) { access_log_->Flush(); };
  }
  for (const config::ListenerConfig& listener : config_.listeners) AddListener(listener);
}

void StockServer::AddListener(const config::ListenerConfig& listener) {
  auto service = std::make_unique<http::Service>(ServiceOptionsOf(config_, listener));
  if (access_log_ != nullptr) {
    service->access_log = [this](const http::AccessRecord& record) { access_log_->Write(record); };
  }
  for (const RouteConfig& route : config_.routes) {
    if (absl::Status status = AddRoute(*service, listener, route); !status.ok()) {
      definition_.RecordError(absl::Status(
          status.code(), fmt::format("route {}: {}", route.path, std::string(status.message()))));
    }
  }
  ListenerDefinition definition = listener.definition;
  definition.protocol = service.get();
  proxy::Listen(definition_, std::move(definition));
  services_.push_back(std::move(service));
}

absl::Status StockServer::AddRoute(http::Service& service, const config::ListenerConfig& listener,
                                   const RouteConfig& route) {
  switch (route.type) {
    case RouteType::kStatic: {
      http::StaticOptions options;
      options.stream = OwnStream(listener, route);
      return service.Static(route.path, route.directory, std::move(options));
    }
    case RouteType::kWebsocketEcho:
      return AddWebSocketEcho(service, listener, route);
    default: {
      http::RouteOptions options;
      options.body_bytes_max = route.LimitsFor(listener).body_bytes_max;
      options.stream = OwnStream(listener, route);
      return AddHandler(service, route, std::move(options));
    }
  }
}

absl::Status StockServer::AddHandler(http::Service& service, const RouteConfig& route,
                                     http::RouteOptions options) {
  if (!route.methods.empty()) {
    for (const std::string& method : route.methods) {
      const absl::Status status = service.Route(method, route.path, HandlerFor(route), options);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  // What is only read answers GET and HEAD; an echo answers everything.
  if (route.type == RouteType::kEcho) return service.Any(route.path, HandlerFor(route), options);
  return service.Get(route.path, HandlerFor(route), options);
}

http::Handler StockServer::HandlerFor(const RouteConfig& route) const {
  switch (route.type) {
    case RouteType::kEcho:
      return [](http::Request& request, http::Response& response) {
        response.Body(request.header("content-type").value_or("application/octet-stream"),
                      request.body());
      };
    case RouteType::kPage:
      return [](http::Request&, http::Response& response) { response.Html(demo::Page()); };
    case RouteType::kStatus:
      return [](http::Request&, http::Response& response) {
        const SharedBlock* block = SharedStatus::Get();
        response.Header("Cache-Control", "no-store");
        response.Json(block == nullptr ? "{}" : StatusJson(*block, MonotonicNow()));
      };
    default:
      return [&route, type = std::string(route.type == RouteType::kJson ? "application/json"
                                                                        : route.content_type)](
                 http::Request&, http::Response& response) {
        if (route.status != 200) response.Status(route.status);
        response.Body(type, route.body);
      };
  }
}

absl::Status StockServer::AddWebSocketEcho(http::Service& service,
                                           const config::ListenerConfig& listener,
                                           const RouteConfig& route) {
  auto echo = std::make_unique<websocket::Route<>>();
  const config::RequestLimits limits = route.LimitsFor(listener);
  echo->limits.message_bytes_max = limits.message_bytes_max;
  echo->limits.fragments_max = limits.message_fragments_max;
  echo->stream = OwnStream(listener, route);
  if (route.origin.allowed_origins) echo->allowed_origins = *route.origin.allowed_origins;
  if (route.origin.allow_missing_origin) {
    echo->missing_origin = *route.origin.allow_missing_origin ? websocket::MissingOrigin::kAllow
                                                              : websocket::MissingOrigin::kDeny;
  }
  echo->on_message = [](auto& peer, const Message& message) {
    // A peer that sends but does not read: its queue is full, and an echo that leaves messages out
    // would be a lie, unless the route's policy is to drop some.
    if (peer.Send(message) == SendResult::kFull) peer.Close(1008, "the output queue is full");
  };
  definition_.validators.push_back([route = echo.get()] { return route->Prepare(); });
  const absl::Status status = service.Upgrade(route.path, echo.get());
  websocket_routes_.push_back(std::move(echo));
  return status;
}

std::string StockServer::Summary(const std::vector<std::string>& addresses) const {
  std::string text;
  for (const std::string& address : addresses) {
    if (address.starts_with("unix:")) continue;
    for (const RouteConfig& route : config_.routes) {
      const bool websocket = route.type == RouteType::kWebsocketEcho;
      text += fmt::format("  {}://{}{}\n", websocket ? "ws" : "http", address, route.path);
    }
  }
  if (!text.empty()) text.pop_back();
  return text;
}

}  // namespace ringmaster
