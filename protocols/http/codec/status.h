#pragma once

#include <string_view>

namespace ringmaster::http {

// "OK", "Not Found"; "" for a code that RFC 9110 and its registry do not know.
std::string_view ReasonPhrase(int status);

// "HTTP/1.1 200 OK\r\n" for a known code, else "". A server answers HTTP/1.0 with HTTP/1.1 too (RFC
// 9110 section 2.5: the version says what the sender can do).
std::string_view StatusLine(int status);

// Responses that never carry content (RFC 9110 section 6.4.1).
constexpr bool StatusForbidsContent(int status) {
  return status < 200 || status == 204 || status == 304;
}

}  // namespace ringmaster::http
