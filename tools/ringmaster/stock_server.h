#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/server.h"
#include "protocols/http/service/service.h"
#include "protocols/web/service/admin.h"
#include "protocols/websocket/service/websocket.h"
#include "tools/ringmaster/access_log.h"
#include "tools/ringmaster/config/server_config.h"

namespace ringmaster {

// The server that a configuration file describes: no C++ needed. Each listener has an HTTP service
// of its own, because limits may differ between listeners; all have the same routes.
//
//   StockServer server(*LoadServerConfig("server.json"));
//   return Main(server.definition(), argc, argv, info);
class StockServer {
 public:
  explicit StockServer(config::ServerConfig config);

  // What went wrong while it was put together is in definition().error().
  ServerDefinition& definition() { return definition_; }

  // The lines below the listeners in the banner: which URLs to try.
  std::string Summary(const std::vector<std::string>& addresses) const;

 private:
  void AddListener(const config::ListenerConfig& listener);
  absl::Status AddRoute(http::Service& service, const config::ListenerConfig& listener,
                        const config::RouteConfig& route);
  absl::Status AddHandler(http::Service& service, const config::RouteConfig& route,
                          http::RouteOptions options);
  absl::Status AddWebSocketEcho(http::Service& service, const config::ListenerConfig& listener,
                                const config::RouteConfig& route);
  http::Handler HandlerFor(const config::RouteConfig& route) const;

  const config::ServerConfig config_;
  ServerDefinition definition_;
  web::AdminService admin_{definition_.options};
  std::vector<std::unique_ptr<http::Service>> services_;
  std::vector<std::unique_ptr<websocket::Route<>>> websocket_routes_;
  std::unique_ptr<AccessLogFile> access_log_;
};

}  // namespace ringmaster
