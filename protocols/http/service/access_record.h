#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "engine/base/time.h"
#include "engine/connection/address.h"

namespace ringmaster::http {

// One answered request. Views are valid during the call.
struct AccessRecord {
  std::string_view method;  // "-" when the request line could not be read
  std::string_view target;
  int status = 0;
  uint64_t body_bytes = 0;  // content of the response, without its framing
  Duration duration = Duration::zero();
  const PeerAddress* peer = nullptr;
  // Whose request it was: the peer, or whom a trusted proxy named (Request::client).
  const PeerAddress* client = nullptr;
};

// Called when a response was queued in full. Null: off, and nothing is gathered for it.
using AccessLog = std::function<void(const AccessRecord&)>;

}  // namespace ringmaster::http
