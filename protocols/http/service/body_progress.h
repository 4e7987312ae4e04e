#pragma once

#include <cstdint>
#include <string>

#include "protocols/http/codec/chunked_decoder.h"
#include "protocols/http/service/body_stream.h"

namespace ringmaster::http {

// Content on its way: chunked, or of a streaming route. (Content of a known length that is
// collected waits in the connection's remainder instead, see HttpSession::needed_bytes_.) Exists
// from the end of the head to the end of the content.
struct BodyProgress {
  bool chunked = false;
  bool streaming = false;
  uint32_t sequence = 0;    // streaming: of the exchange
  uint64_t bytes_left = 0;  // with a Content-Length
  ChunkedLimits limits;
  ChunkedDecoder decoder;
  BodyStream stream;
  std::string head;  // collected: parsed again when the content is complete
  std::string collected;

  size_t held_bytes() const { return sizeof(*this) + head.capacity() + collected.capacity(); }
};

}  // namespace ringmaster::http
