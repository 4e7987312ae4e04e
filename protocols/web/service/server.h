#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/process/main.h"
#include "engine/server.h"
#include "protocols/http/codec/generation_header.h"
#include "protocols/http/service/request.h"
#include "protocols/http/service/response.h"
#include "protocols/http/service/service.h"
#include "protocols/web/service/admin.h"
#include "protocols/websocket/service/websocket.h"

namespace ringmaster {

// The server that most programs write: HTTP and WebSocket routes that share their ports.
//
//   #include <ringmaster/websocket.h>
//
//   struct Player { std::string name; };            // one per connection; destroyed with it
//
//   int main(int argc, char** argv) {
//     ringmaster::Server server;
//     auto& game = server.WebSocket<Player>("/play");
//     game.allowed_origins = {"https://game.example"};
//     game.on_open    = [](auto& peer) { peer.context().name = "anon"; };
//     game.on_message = [](auto& peer, ringmaster::Message message) { peer.Send(message); };
//     server.Get("/hello", [](auto& request, auto& response) { response.Text("Hello\n"); });
//     server.Listen("0.0.0.0:8080");
//     return ringmaster::Main(server, argc, argv);  // start|stop|status|check, -d
//   }
//
// A route or address that cannot work is remembered and reported by Main, which then starts
// nothing. Routes are added before Main; handlers run in the workers, each in its own process.
class Server : public ServerDefinition {
 public:
  explicit Server(http::ServiceOptions http_options = {}) : http_(http_options), admin_(options) {
    const std::string error = http::GenerationHeaderError(http_options.generation_header);
    if (!error.empty()) RecordError(absl::InvalidArgumentError("generation_header: " + error));
    admin_protocol = &admin_.protocol();
  }

  // Every request for `path` that asks for WebSocket. The route is set up through the reference,
  // before Main, and lives as long as the server.
  template <typename Context = void>
  websocket::Route<Context>& WebSocket(std::string_view path) {
    auto route = std::make_unique<websocket::Route<Context>>();
    websocket::Route<Context>& reference = *route;
    AddWebSocket(path, std::move(route));
    return reference;
  }

  void Get(std::string_view pattern, http::Handler handler, http::RouteOptions route_options = {});
  void Post(std::string_view pattern, http::Handler handler, http::RouteOptions route_options = {});
  void Put(std::string_view pattern, http::Handler handler, http::RouteOptions route_options = {});
  void Delete(std::string_view pattern, http::Handler handler,
              http::RouteOptions route_options = {});
  void Patch(std::string_view pattern, http::Handler handler,
             http::RouteOptions route_options = {});
  void Any(std::string_view pattern, http::Handler handler, http::RouteOptions route_options = {});
  void Static(std::string_view prefix, const std::string& directory,
              http::StaticOptions static_options = {});

  // All routes on `address` ("0.0.0.0:8080", "[::1]:8080", "unix:/run/app.sock").
  void Listen(std::string_view address, const StreamOptions& stream = {});
  // With bounds of its own: limits, allow and deny lists, proxies. Without a protocol in it: all
  // routes.
  void Listen(ListenerDefinition listener);
  // Another protocol on a port of its own.
  void Listen(std::string_view address, Protocol& protocol, const StreamOptions& stream = {});

  // What the calls above do not cover: streaming routes, the access log, not_found.
  http::Service& http() { return http_; }

 private:
  void AddWebSocket(std::string_view path, std::unique_ptr<websocket::RouteBase> route);

  http::Service http_;
  web::AdminService admin_;
  std::vector<std::unique_ptr<websocket::RouteBase>> websocket_routes_;
};

// Main (engine/process/main.h) for a Server: --help tells of the admin listener too.
int Main(Server& server, int argc, char** argv, ProgramInfo info = {});

}  // namespace ringmaster
