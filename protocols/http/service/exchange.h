#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "engine/base/time.h"
#include "engine/connection/address.h"
#include "protocols/http/codec/response_head.h"

namespace ringmaster {
class Connection;
}

namespace ringmaster::http {

class HttpSession;

// What must be known of a request to answer it, after its bytes are gone.
struct Exchange {
  enum class Phase : uint8_t {
    kUnanswered,
    kStreaming,  // the head was written, the content follows in pieces
    kDone,
  };

  uint32_t sequence = 0;  // of the requests on its connection
  Phase phase = Phase::kUnanswered;
  bool head_request = false;  // no content in the response
  bool http10 = false;
  bool close = false;  // the connection ends behind this response
  // The client has said that it sends nothing more behind this request (RFC 9112, 9.6).
  bool last_of_client = false;
  ResponseFraming framing = ResponseFraming::kContentLength;
  int status = 200;
  uint64_t body_bytes = 0;
  TimePoint started_at = 0;
  std::string_view method;  // for the access log; both point into the request while it is handled
  std::string_view target;
  // Whose request it is, when that need not be the connection's peer; as long as the views above.
  const PeerAddress* client = nullptr;
};

// A part of a response that waits for its turn: bytes, or bytes owned by somebody, or a file.
struct OutputPiece {
  OutputPiece() = default;
  OutputPiece(OutputPiece&& other) noexcept { *this = std::move(other); }
  OutputPiece& operator=(OutputPiece&& other) noexcept;
  ~OutputPiece();

  std::string bytes;
  std::string_view shared;
  std::shared_ptr<const void> owner;
  int fd = -1;
  uint64_t offset = 0;
  uint64_t count = 0;
};

// A request that was not answered when its handler returned, or whose answer waits for an earlier
// one.
struct PendingExchange {
  Exchange exchange;
  std::vector<OutputPiece> pieces;
  // Called when the connection can take more of a streamed response.
  absl::AnyInvocable<void()> on_drained;
  std::string method;  // kept only with an access log
  std::string target;
  PeerAddress client;
};

// How a PendingResponse finds its session: both are nullptr once the pipeline is gone, and the
// session, the connection and the worker may be too.
struct PendingLink {
  HttpSession* session = nullptr;
  Connection* connection = nullptr;
};

// The exchanges of one connection that are not finished, in request order, without a gap. Only the
// first one writes to the connection; the others keep their pieces until they are first.
struct Pipeline {
  Pipeline(HttpSession& session, Connection& connection)
      : link(std::make_shared<PendingLink>(PendingLink{&session, &connection})) {}
  ~Pipeline() { *link = PendingLink(); }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  std::deque<PendingExchange> slots;
  size_t bytes_held = 0;  // of all slots
  std::shared_ptr<PendingLink> link;
};

}  // namespace ringmaster::http
