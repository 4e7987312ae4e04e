#include "protocols/http/service/service.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <ctime>

#include "engine/worker/worker.h"
#include "protocols/http/codec/characters.h"
#include "protocols/http/codec/response_head.h"
#include "protocols/http/service/http_session.h"
#include "protocols/http/service/saved_session.h"
#include "protocols/http/service/static_files.h"

namespace ringmaster::http {

Service::Service(ServiceOptions options)
    : options_(std::move(options)), counter_slots_(HttpCounters::Get()) {}

Service::~Service() = default;

std::unique_ptr<Session> Service::NewSession(Connection& connection) {
  return std::make_unique<HttpSession>(*this, connection);
}

std::unique_ptr<Session> Service::Restore(Connection& connection, StateReader& in) {
  if (in.Bytes() != kSavedTag) return nullptr;
  switch (static_cast<SavedKind>(in.UnsignedUpTo(UINT8_MAX))) {
    case SavedKind::kRequests:
      return HttpSession::Restore(*this, connection, in.TakePart());
    case SavedKind::kUpgraded: {
      const PathEntry* const entry = router_.FindEntry(in.Bytes());
      const StateReader::Part saved = in.TakePart();
      if (!in.ok() || entry == nullptr || entry->upgrade == nullptr) return nullptr;
      return entry->upgrade->Restore(connection, saved);
    }
  }
  return nullptr;
}

std::string_view Service::RefusalGoodbye() const {
  // RFC 9110 section 15.6.4; no Date: it may be left out of a 5xx (section 6.6.1).
  return "HTTP/1.1 503 Service Unavailable\r\n"
         "Content-Type: text/plain; charset=utf-8\r\n"
         "Content-Length: 31\r\n"
         "Retry-After: 1\r\n"
         "Connection: close\r\n"
         "\r\n"
         "Too many connections, go slow.\n";
}

absl::Status Service::Add(std::string_view method, std::string_view pattern,
                          std::unique_ptr<http::Route> route) {
  const Method id = MethodOf(method);
  if (id == Method::kOther && method != "*") {
    return absl::InvalidArgumentError(fmt::format(
        "route \"{}\": unknown method \"{}\"; Any() takes every method", pattern, method));
  }
  absl::StatusOr<PathEntry*> entry = router_.Entry(pattern);
  if (!entry.ok()) return entry.status();
  std::unique_ptr<http::Route>& place =
      method == "*" ? (*entry)->any : (*entry)->by_method[static_cast<int>(id)];
  route->rated = route->options.stream && route->options.stream->request_rate.limited();
  place = std::move(route);
  place->plain = place->streaming_handler == nullptr && !place->options.body_required &&
                 !place->options.stream;
  Router::UpdateAllow(**entry);
  return absl::OkStatus();
}

absl::Status Service::Route(std::string_view method, std::string_view pattern, Handler handler,
                            RouteOptions options) {
  auto route = std::make_unique<http::Route>();
  route->handler = std::move(handler);
  route->options = std::move(options);
  return Add(method, pattern, std::move(route));
}

absl::Status Service::StreamingRoute(std::string_view method, std::string_view pattern,
                                     StreamingHandler handler, RouteOptions options) {
  auto route = std::make_unique<http::Route>();
  route->streaming_handler = std::move(handler);
  route->options = std::move(options);
  return Add(method, pattern, std::move(route));
}

absl::Status Service::Get(std::string_view pattern, Handler handler, RouteOptions options) {
  return Route("GET", pattern, std::move(handler), std::move(options));
}
absl::Status Service::Post(std::string_view pattern, Handler handler, RouteOptions options) {
  return Route("POST", pattern, std::move(handler), std::move(options));
}
absl::Status Service::Put(std::string_view pattern, Handler handler, RouteOptions options) {
  return Route("PUT", pattern, std::move(handler), std::move(options));
}
absl::Status Service::Delete(std::string_view pattern, Handler handler, RouteOptions options) {
  return Route("DELETE", pattern, std::move(handler), std::move(options));
}
absl::Status Service::Patch(std::string_view pattern, Handler handler, RouteOptions options) {
  return Route("PATCH", pattern, std::move(handler), std::move(options));
}
absl::Status Service::Any(std::string_view pattern, Handler handler, RouteOptions options) {
  return Route("*", pattern, std::move(handler), std::move(options));
}

absl::Status Service::Upgrade(std::string_view pattern, UpgradeRoute* route) {
  absl::StatusOr<PathEntry*> entry = router_.Entry(pattern);
  if (!entry.ok()) return entry.status();
  (*entry)->upgrade = route;
  route->StandsAt(pattern);
  Router::UpdateAllow(**entry);
  return absl::OkStatus();
}

absl::Status Service::Static(std::string_view prefix, const std::string& directory,
                             StaticOptions options) {
  RouteOptions route_options;
  route_options.stream = options.stream;
  absl::StatusOr<std::shared_ptr<StaticFiles>> files =
      StaticFiles::Open(directory, std::move(options));
  if (!files.ok()) return files.status();
  while (!prefix.empty() && prefix.back() == '/') prefix.remove_suffix(1);
  return Get(
      fmt::format("{}/*path", prefix),
      [files = *std::move(files)](Request& request, Response& response) {
        files->Serve(request, request.param("path"), response);
      },
      std::move(route_options));
}

std::string_view Service::GenerationLine(const Worker& worker) {
  if (generation_line_.empty() && !options_.generation_header.empty()) {
    AppendFieldLine(options_.generation_header, fmt::format("{}", worker.generation()),
                    generation_line_);
  }
  return generation_line_;
}

void Service::UpdateCommonLines(TimePoint now, const Worker& worker) {
  timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  common_lines_ = date_.Line(wall.tv_sec);
  if (const std::string_view generation = GenerationLine(worker); !generation.empty()) {
    dated_lines_.assign(common_lines_).append(generation);
    common_lines_ = dated_lines_;
  }
  next_date_at_ = now + 1'000'000'000 - wall.tv_nsec;
}

simdjson::dom::parser& Service::json_parser() {
  if (json_parser_ == nullptr) json_parser_ = std::make_unique<simdjson::dom::parser>();
  return *json_parser_;
}

}  // namespace ringmaster::http
