#include <fmt/format.h>

#include <algorithm>

#include "engine/worker/worker.h"
#include "protocols/http/service/http_session.h"
#include "protocols/http/service/response.h"
#include "protocols/http/service/service.h"

// Whose request it is, and whether it comes too soon. Judged when the head is complete, before
// anything is done for it: content that follows is not waited for.

namespace ringmaster::http {

void HttpSession::FindClient(Connection& connection, const RequestHead& head) {
  Service::Scratch& scratch = service_->scratch();
  const ServiceOptions& options = service_->options();
  scratch.client_address =
      ClientOf(connection.peer(), head, options.client_address, options.trusted_proxies);
  scratch.client = &scratch.client_address;
}

const PeerAddress& HttpSession::Client(Connection& connection) const {
  const PeerAddress* const client = service_->scratch().client;
  return client != nullptr ? *client : connection.peer();
}

RateVerdict HttpSession::TakeRequest(Connection& connection, const http::Route* route) {
  // Its head is read again when its content has come, or when what held it back is over.
  if (admitted_) return {};
  const RateLimit* rate = &default_options_->request_rate;
  if (route != nullptr && route->options.stream) {
    // Routes that say the same as the listener share its bucket.
    const RateLimit& own = route->options.stream->request_rate;
    if (own != *rate) rate = &own;
  }
  const RateVerdict verdict = connection.TakeRequest(*rate, Client(connection));
  admitted_ = verdict.allowed();
  return verdict;
}

size_t HttpSession::RefuseRate(Connection& connection, const RequestHead& head,
                               const RateVerdict& verdict, std::string_view input) {
  const bool has_content = head.has_content();
  Complete(connection);
  Exchange& exchange = NewExchange(connection, &head);
  exchange.close = exchange.close || has_content || verdict.hammering;
  bytes_behind_ = has_content || input.size() > head.head_bytes;
  Response response(*this, connection, exchange, service_->scratch().fields);
  // RFC 9110 section 10.2.3: whole seconds. Rounded up, so that who waits as told is served.
  constexpr int64_t kSecond = 1'000'000'000;
  const int64_t seconds = std::max<int64_t>(1, (verdict.wait.count() + kSecond - 1) / kSecond);
  response.Header("Retry-After", fmt::format("{}", seconds)).Error(429);
  if (verdict.hammering && pipeline_ == nullptr) {
    last_request_ = true;
    connection.CloseAfterFlush(CloseReason::kLimit, Linger::kYes);
  }
  AfterHandler(connection, response);
  return has_content ? input.size() : head.head_bytes;
}

}  // namespace ringmaster::http
