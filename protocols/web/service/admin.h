#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/server.h"
#include "protocols/http/service/request.h"
#include "protocols/http/service/response.h"
#include "protocols/http/service/service.h"

namespace ringmaster::web {

// What the admin listener serves, in a process of its own (ServerDefinition::admin_protocol):
//
//     /             the dashboard: live charts, for people
//     /metrics      Prometheus' text format
//     /status.json  what `status --json` prints; with ?buckets also the buckets of the histograms
//     /healthz      200 while the server serves at all, else 503 with the reasons, as text; a
//     worker
//                   that a handler holds for longer than handler_timeout does not serve
//     /readyz       200 while all of it is ready and it is not stopping, else 503
//
// Everything comes from shared memory. Where options.admin.token is set, each but the page, which
// has no figures in it, wants `Authorization: Bearer TOKEN` (RFC 6750) and is answered 401 without.
//
//   web::AdminService admin(server.options);
//   server.admin_protocol = &admin.protocol();       // ringmaster::Server does it
class AdminService {
 public:
  // `options` outlives the service; the token is read there with each request.
  explicit AdminService(const ServerOptions& options);

  Protocol& protocol() { return http_; }

 private:
  using Answer = void (*)(const http::Request& request, http::Response& response);

  void Add(std::string_view path, Answer answer);
  // Answers and returns true when the request must not be served.
  bool Refuse(const http::Request& request, http::Response& response) const;

  const ServerOptions& options_;
  http::Service http_;
};

// What --help says about it: lines for ProgramInfo::help.
std::vector<std::string> AdminHelp();

}  // namespace ringmaster::web
