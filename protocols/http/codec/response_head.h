#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocols/http/codec/http_date.h"

namespace ringmaster::http {

// How the end of a response's content is marked.
enum class ResponseFraming : uint8_t {
  kNone,  // no content and no length: 1xx, 204; 304 unless its length is known
  kContentLength,
  kChunked,     // never for HTTP/1.0
  kUntilClose,  // HTTP/1.0 without a known length: the connection's end is the content's end
};

// What one response head says. Views only; encoding copies.
struct ResponseHead {
  int status = 200;  // a code that StatusLine knows
  ResponseFraming framing = ResponseFraming::kContentLength;
  bool close = false;       // says "Connection: close"
  bool keep_alive = false;  // says "Connection: keep-alive", which HTTP/1.0 clients wait for
  uint64_t content_length = 0;
  std::string_view common_lines;  // whole lines: of DateField, or empty
  std::string_view content_type;  // empty: no Content-Type
  std::string_view field_lines;   // whole lines, from AppendFieldLine
};

// Room that EncodeResponseHead may need.
size_t ResponseHeadBytesMax(const ResponseHead& head);
// Writes the head, the empty line included; returns the bytes written.
size_t EncodeResponseHead(const ResponseHead& head, char* out);

bool IsValidFieldName(std::string_view name);
// No CR, LF, NUL or other control but HTAB, so that no value can begin a line of its own.
bool IsValidFieldValue(std::string_view value);
// Appends "name: value\r\n"; false and nothing appended when either is invalid.
bool AppendFieldLine(std::string_view name, std::string_view value, std::string& lines);

// One chunk of a chunked body is ChunkHead + data + "\r\n"; no data makes no chunk, for the empty
// one ends the body.
inline constexpr size_t kChunkHeadBytesMax = 18;
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";
size_t EncodeChunkHead(uint64_t data_bytes, char* out);

}  // namespace ringmaster::http
