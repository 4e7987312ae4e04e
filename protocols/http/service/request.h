#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/connection/connection.h"
#include "protocols/http/codec/request_head.h"
#include "protocols/http/service/method.h"
#include "protocols/http/service/router.h"

namespace simdjson::dom {
class element;
}

namespace ringmaster::http {

class ChunkedDecoder;
class Service;

// One request, for the length of its handler's call: every view is gone afterwards.
class Request {
 public:
  std::string_view method() const { return head_->method; }
  Method method_id() const { return method_; }
  // Decoded, dot segments resolved.
  std::string_view path() const { return path_; }
  // As sent.
  std::string_view target() const { return head_->target; }
  std::string_view host() const { return head_->host; }
  std::string_view query() const { return head_->query; }
  // The first parameter of that name, decoded; nullopt when absent or badly escaped.
  std::optional<std::string> query(std::string_view name) const;
  // A parameter of the route's pattern, decoded; "" when it has none of that name.
  std::string_view param(std::string_view name) const;
  std::optional<std::string_view> header(std::string_view name) const { return head_->Find(name); }
  std::optional<std::string_view> cookie(std::string_view name) const;
  const RequestHead& head() const { return *head_; }

  // The content, whole; empty in the handler of a streaming route.
  std::string_view body() const { return body_; }
  // A trailer field of chunked content; nullopt when absent.
  std::optional<std::string_view> trailer(std::string_view name) const;
  // The content as JSON, whatever its Content-Type. Include <simdjson.h> to use it. The element
  // lives until the next call on this worker. Errors: kInvalidArgument with the reason.
  absl::StatusOr<simdjson::dom::element> Json() const;

  Connection& connection() const { return *connection_; }
  const PeerAddress& peer() const { return connection_->peer(); }
  // Whose request it is: the peer, unless a trusted proxy made it for somebody else
  // (ServiceOptions::client_address). The port is 0 where the proxy gave none.
  const PeerAddress& client() const { return client_ != nullptr ? *client_ : peer(); }
  uint64_t connection_id() const { return connection_->id(); }

 private:
  friend class HttpSession;

  Connection* connection_ = nullptr;
  Service* service_ = nullptr;
  const RequestHead* head_ = nullptr;
  const PathParameters* parameters_ = nullptr;
  const ChunkedDecoder* decoder_ = nullptr;  // of the trailers
  const PeerAddress* client_ = nullptr;      // unless it is the peer
  std::string_view path_;
  std::string_view body_;
  Method method_ = Method::kOther;
};

}  // namespace ringmaster::http
