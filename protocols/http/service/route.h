#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "engine/connection/stream_options.h"

namespace ringmaster::http {

class BodyStream;
class Request;
class Response;

// Answers one request: writes the response, or takes response.Defer() along and answers later. A
// handler that throws costs its own connection (500, then close).
using Handler = absl::AnyInvocable<void(Request&, Response&)>;
// Called when the head is complete; sets the callbacks of `body`, which get the content as it
// arrives.
using StreamingHandler = absl::AnyInvocable<void(Request&, Response&, BodyStream&)>;

struct RouteOptions {
  // Content beyond is refused with 413: before it is read when its length was announced.
  uint64_t body_bytes_max = 1u << 20;
  // 411 for a request without Content-Length and without chunked content.
  bool body_required = false;
  // Other bounds than the listener's (a longer body or write timeout, say): from the end of the
  // request's head until the next one begins. Leave it out where they are the same: ordinary routes
  // pay nothing. Its request_rate, if it differs from the listener's, takes its place for this
  // route: the requests of a connection to this route are counted apart.
  std::optional<StreamOptions> stream;
};

struct Route {
  Handler handler;                     // one of the two
  StreamingHandler streaming_handler;  // ...
  RouteOptions options;
  // A request without content can go straight to the handler. Kept apart from what it follows from:
  // every request asks.
  bool plain = true;
  bool rated = false;  // options.stream limits the rate of requests, whatever the listener says
};

}  // namespace ringmaster::http
