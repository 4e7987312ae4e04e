#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "engine/limits/cidr_set.h"
#include "engine/protocol.h"
#include "protocols/http/codec/http_date.h"
#include "protocols/http/codec/request_head_parser.h"
#include "protocols/http/service/access_record.h"
#include "protocols/http/service/body_stream.h"
#include "protocols/http/service/client_address.h"
#include "protocols/http/service/exchange.h"
#include "protocols/http/service/http_counters.h"
#include "protocols/http/service/request.h"
#include "protocols/http/service/response.h"
#include "protocols/http/service/route.h"
#include "protocols/http/service/router.h"
#include "protocols/http/service/upgrade.h"

namespace simdjson::dom {
class parser;
}

namespace ringmaster::http {

struct ServiceOptions {
  HeadLimits head = {};
  // Requests received and not answered; above, the connection's input waits.
  uint32_t pipelined_requests_max = 64;
  // The connection closes behind this many requests; 0 = never.
  uint32_t requests_per_connection_max = 0;
  uint32_t trailer_bytes_max = 8192;
  // Whom Request::client, the access log and limits by address mean: the peer, or whom a field
  // names, in requests of trusted_proxies.
  ClientAddressSource client_address = ClientAddressSource::kPeer;
  CidrSet trusted_proxies = {};
  // Name of a field that every answer carries, a WebSocket's 101 included (interim ones, and the
  // door's refusals, which no session writes, do not): which generation of the worker gave it, so
  // that one sees who answers during a reload. Empty: none. See
  // GenerationHeaderError.
  std::string generation_header = {};
};

struct StaticOptions {
  bool dotfiles = false;  // ".git", ".env" and the like are not found otherwise
  std::string index = "index.html";
  std::string cache_control;  // the field's value; empty: none
  // See RouteOptions.
  std::optional<StreamOptions> stream;
};

// HTTP/1.x on a listener: routes to handlers. Routes are added while the server is defined, before
// the worker starts.
//
//   http::Service web;
//   web.Get("/hello", [](http::Request&, http::Response& response) { response.Text("Hello\n"); });
//   web.Get("/users/:id", [](http::Request& request, http::Response& response) {
//     response.Json(UserAsJson(request.param("id")));
//   });
//   web.Static("/static", "/var/www");
//   server.Listen("127.0.0.1:8080", web);  // a ServerDefinition
//
// Patterns: see Router. Adding a route that cannot work returns kInvalidArgument; one that exists
// is replaced. HEAD is answered by GET's handler, OPTIONS by the list of methods, unless they have
// their own.
class Service final : public Protocol {
 public:
  explicit Service(ServiceOptions options = {});
  ~Service() override;

  absl::Status Route(std::string_view method, std::string_view pattern, Handler handler,
                     RouteOptions options = {});
  absl::Status StreamingRoute(std::string_view method, std::string_view pattern,
                              StreamingHandler handler, RouteOptions options = {});
  absl::Status Get(std::string_view pattern, Handler handler, RouteOptions options = {});
  absl::Status Post(std::string_view pattern, Handler handler, RouteOptions options = {});
  absl::Status Put(std::string_view pattern, Handler handler, RouteOptions options = {});
  absl::Status Delete(std::string_view pattern, Handler handler, RouteOptions options = {});
  absl::Status Patch(std::string_view pattern, Handler handler, RouteOptions options = {});
  // Every method that has no route of its own, unknown ones included; not TRACE and CONNECT.
  absl::Status Any(std::string_view pattern, Handler handler, RouteOptions options = {});
  // `route` outlives the service. A path may have both an upgrade and a GET handler.
  absl::Status Upgrade(std::string_view pattern, UpgradeRoute* route);
  // Files of `directory` below `prefix` ("/static" serves "/static/a.css"). Errors: kNotFound when
  // the directory cannot be opened.
  absl::Status Static(std::string_view prefix, const std::string& directory,
                      StaticOptions options = {});

  // Answers what no route matches; 404 without it.
  Handler not_found;
  AccessLog access_log;

  std::string_view name() const override { return "http"; }
  std::unique_ptr<Session> NewSession(Connection& connection) override;
  std::unique_ptr<Session> Restore(Connection& connection, StateReader& in) override;
  // A whole 503 with Retry-After.
  std::string_view RefusalGoodbye() const override;

  // -- For sessions
  // ----------------------------------------------------------------------------------

  const ServiceOptions& options() const { return options_; }
  const Router& router() const { return router_; }
  const HttpCounters& counter_slots() const { return counter_slots_; }
  // Lines that every answer carries: Date and, if it is asked for, the generation. `now` is the
  // turn's; the wall clock is read once per second.
  std::string_view CommonLines(TimePoint now, const Worker& worker) {
    if (now >= next_date_at_) [[unlikely]]
      UpdateCommonLines(now, worker);
    return common_lines_;
  }
  // Empty when nobody asks for it.
  std::string_view GenerationLine(const Worker& worker);
  simdjson::dom::parser& json_parser();

  // What one call of one session needs; no call nests in another.
  struct Scratch {
    RequestHead head;
    PathParameters parameters;
    Exchange exchange;
    PeerAddress client_address;
    // Of the head; nullptr: the connection's peer.
    const PeerAddress* client = nullptr;
    std::string path;    // decoded
    std::string fields;  // of the response
  };
  Scratch& scratch() { return scratch_; }

 private:
  absl::Status Add(std::string_view method, std::string_view pattern,
                   std::unique_ptr<http::Route> route);
  void UpdateCommonLines(TimePoint now, const Worker& worker);

  ServiceOptions options_;
  Router router_;
  const HttpCounters& counter_slots_;
  DateField date_;
  std::string_view common_lines_;  // date_'s, or with the generation behind it in dated_lines_
  std::string generation_line_;    // from its first use on
  std::string dated_lines_;
  TimePoint next_date_at_ = INT64_MIN;
  std::unique_ptr<simdjson::dom::parser> json_parser_;
  Scratch scratch_;
};

}  // namespace ringmaster::http
