#include <fmt/format.h>

#include <algorithm>
#include <optional>

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
  const std::optional<PeerAddress> client =
      ClientOf(connection.peer(), head, options.client_address, options.trusted_proxies);
  if (client) scratch.client_address = *client;
  scratch.client = client ? &scratch.client_address : nullptr;
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
  const RateVerdict verdict = connection.TakeRequest(*rate, service_->scratch().client);
  admitted_ = verdict.allowed();
  return verdict;
}

template <typename Answer>
size_t HttpSession::RefuseHead(Connection& connection, const RequestHead& head,
                               std::string_view input, bool closes, Answer answer) {
  const bool has_content = head.has_content();
  Complete(connection);
  Exchange& exchange = NewExchange(connection, &head);
  exchange.close = exchange.close || has_content || closes;
  bytes_behind_ = has_content || input.size() > head.head_bytes;
  Response response(*this, connection, exchange, service_->scratch().fields);
  answer(response);
  if (closes && pipeline_ == nullptr) {
    last_request_ = true;
    connection.CloseAfterFlush(CloseReason::kLimit, Linger::kYes);
  }
  AfterHandler(connection, response);
  return has_content ? input.size() : head.head_bytes;
}

size_t HttpSession::RefuseRate(Connection& connection, const RequestHead& head,
                               const RateVerdict& verdict, std::string_view input) {
  return RefuseHead(connection, head, input, verdict.hammering, [&](Response& response) {
    // RFC 9110 section 10.2.3: whole seconds. Rounded up, so that who waits as told is served.
    constexpr int64_t kSecond = 1'000'000'000;
    const int64_t seconds = std::max<int64_t>(1, (verdict.wait.count() + kSecond - 1) / kSecond);
    response.Header("Retry-After", fmt::format("{}", seconds)).Error(429);
  });
}

// The door has judged the proxy; the client for whom it asks is judged here.
bool HttpSession::IsLetIn(Connection& connection) {
  const PeerAddress* const client = service_->scratch().client;
  return admitted_ || client == nullptr || connection.worker().LetsIn(connection, *client);
}

size_t HttpSession::RefuseClient(Connection& connection, const RequestHead& head,
                                 std::string_view input) {
  return RefuseHead(connection, head, input, /*closes=*/false,
                    [](Response& response) { response.Error(403); });
}

// A connection that upgrades is one client's from now on. Its address may refuse it, as the door
// would have if the client had come by itself.
std::optional<UpgradeRefusal> HttpSession::ReaddressToClient(Connection& connection) {
  const PeerAddress* const client = service_->scratch().client;
  if (client == nullptr) return std::nullopt;
  switch (connection.worker().ReaddressConnection(connection, *client)) {
    case Refusal::kNone:
      return std::nullopt;
    case Refusal::kDenied:
      return UpgradeRefusal{403, "this address is not served", ""};
    default:
      return UpgradeRefusal{429, "too many connections from this address", "Retry-After: 1\r\n"};
  }
}

}  // namespace ringmaster::http
