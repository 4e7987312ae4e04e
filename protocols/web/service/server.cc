#include "protocols/web/service/server.h"

#include <utility>

#include "protocols/proxy/service/proxy_protocol.h"

namespace ringmaster {

void Server::AddWebSocket(std::string_view path, std::unique_ptr<websocket::RouteBase> route) {
  RecordError(http_.Upgrade(path, route.get()));
  validators.push_back([route = route.get()] { return route->Prepare(); });
  websocket_routes_.push_back(std::move(route));
}

void Server::Get(std::string_view pattern, http::Handler handler,
                 http::RouteOptions route_options) {
  RecordError(http_.Get(pattern, std::move(handler), std::move(route_options)));
}

void Server::Post(std::string_view pattern, http::Handler handler,
                  http::RouteOptions route_options) {
  RecordError(http_.Post(pattern, std::move(handler), std::move(route_options)));
}

void Server::Put(std::string_view pattern, http::Handler handler,
                 http::RouteOptions route_options) {
  RecordError(http_.Put(pattern, std::move(handler), std::move(route_options)));
}

void Server::Delete(std::string_view pattern, http::Handler handler,
                    http::RouteOptions route_options) {
  RecordError(http_.Delete(pattern, std::move(handler), std::move(route_options)));
}

void Server::Patch(std::string_view pattern, http::Handler handler,
                   http::RouteOptions route_options) {
  RecordError(http_.Patch(pattern, std::move(handler), std::move(route_options)));
}

void Server::Any(std::string_view pattern, http::Handler handler,
                 http::RouteOptions route_options) {
  RecordError(http_.Any(pattern, std::move(handler), std::move(route_options)));
}

void Server::Static(std::string_view prefix, const std::string& directory,
                    http::StaticOptions static_options) {
  RecordError(http_.Static(prefix, directory, std::move(static_options)));
}

void Server::Listen(std::string_view address, const StreamOptions& stream) {
  RecordError(ServerDefinition::Listen(address, http_, stream));
}

void Server::Listen(ListenerDefinition listener) {
  if (listener.protocol == nullptr) listener.protocol = &http_;
  proxy::Listen(*this, std::move(listener));
}

void Server::Listen(std::string_view address, Protocol& protocol, const StreamOptions& stream) {
  RecordError(ServerDefinition::Listen(address, protocol, stream));
}

int Main(Server& server, int argc, char** argv, ProgramInfo info) {
  if (!info.help.empty()) info.help.emplace_back();
  for (const std::string& line : web::AdminHelp()) info.help.push_back(line);
  return Main(static_cast<ServerDefinition&>(server), argc, argv, info);
}

}  // namespace ringmaster
