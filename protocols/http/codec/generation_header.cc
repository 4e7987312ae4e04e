#include "protocols/http/codec/generation_header.h"

#include "protocols/http/codec/characters.h"
#include "protocols/http/codec/response_head.h"

namespace ringmaster::http {
namespace {

// What the codecs, sessions and routes of this server write, and what frames a message.
constexpr std::string_view kServersFields[] = {
    "Accept-Ranges",
    "Allow",
    "Cache-Control",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Date",
    "ETag",
    "Keep-Alive",
    "Last-Modified",
    "Location",
    "Retry-After",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Version",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "WWW-Authenticate",
};

}  // namespace

std::string GenerationHeaderError(std::string_view name) {
  if (name.empty()) return {};
  const std::string got = ", got \"" + std::string(name) + "\"";
  if (name.size() > kGenerationHeaderBytesMax) {
    return "expected a header name of at most " + std::to_string(kGenerationHeaderBytesMax) +
           " characters, got " + std::to_string(name.size());
  }
  if (!IsValidFieldName(name)) return "expected a header name, such as \"X-Generation\"" + got;
  for (const std::string_view own : kServersFields) {
    if (EqualsIgnoreCase(name, own)) {
      return "expected a header that the server does not send itself, such as \"X-Generation\"" +
             got;
    }
  }
  return {};
}

}  // namespace ringmaster::http
