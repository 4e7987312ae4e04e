#include "protocols/http/codec/response_head.h"

#include <cassert>
#include <charconv>
#include <cstring>

#include "protocols/http/codec/characters.h"
#include "protocols/http/codec/status.h"

namespace ringmaster::http {
namespace {

constexpr std::string_view kContentLength = "Content-Length: ";
constexpr std::string_view kContentType = "Content-Type: ";
constexpr std::string_view kChunked = "Transfer-Encoding: chunked\r\n";
constexpr std::string_view kClose = "Connection: close\r\n";
constexpr std::string_view kKeepAlive = "Connection: keep-alive\r\n";
constexpr size_t kLengthDigitsMax = 20;

char* Put(std::string_view text, char* out) {
  // An empty view may hold a null pointer, which memcpy must not be given.
  if (!text.empty()) memcpy(out, text.data(), text.size());
  return out + text.size();
}

}  // namespace

size_t ResponseHeadBytesMax(const ResponseHead& head) {
  // 64: the longest status line has 46 bytes; the empty line and the line ends are in there too.
  return 64 + head.common_lines.size() + head.field_lines.size() + kContentType.size() +
         head.content_type.size() + kChunked.size() + kContentLength.size() + kLengthDigitsMax +
         kKeepAlive.size();
}

size_t EncodeResponseHead(const ResponseHead& head, char* out) {
  const std::string_view status_line = StatusLine(head.status);
  assert(!status_line.empty());
  char* p = Put(status_line, out);
  p = Put(head.common_lines, p);
  if (!head.content_type.empty()) {
    p = Put(kContentType, p);
    p = Put(head.content_type, p);
    p = Put("\r\n", p);
  }
  if (head.framing == ResponseFraming::kContentLength) {
    p = Put(kContentLength, p);
    p = std::to_chars(p, p + kLengthDigitsMax, head.content_length).ptr;
    p = Put("\r\n", p);
  } else if (head.framing == ResponseFraming::kChunked) {
    p = Put(kChunked, p);
  }
  if (head.close || head.framing == ResponseFraming::kUntilClose) {
    p = Put(kClose, p);
  } else if (head.keep_alive) {
    p = Put(kKeepAlive, p);
  }
  p = Put(head.field_lines, p);
  p = Put("\r\n", p);
  return static_cast<size_t>(p - out);
}

bool IsValidFieldName(std::string_view name) { return IsToken(name); }

bool IsValidFieldValue(std::string_view value) {
  for (char c : value) {
    if (!Is(kValueChar, c)) return false;
  }
  return true;
}

bool AppendFieldLine(std::string_view name, std::string_view value, std::string& lines) {
  if (!IsValidFieldName(name) || !IsValidFieldValue(value)) return false;
  lines.append(name);
  lines.append(": ");
  lines.append(value);
  lines.append("\r\n");
  return true;
}

size_t EncodeChunkHead(uint64_t data_bytes, char* out) {
  char* p = std::to_chars(out, out + 16, data_bytes, 16).ptr;
  p = Put("\r\n", p);
  return static_cast<size_t>(p - out);
}

}  // namespace ringmaster::http
