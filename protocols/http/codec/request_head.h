#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ringmaster::http {

// One field line: views into the bytes that were parsed. `value` has no surrounding white space.
struct Field {
  std::string_view name;
  std::string_view value;
};

// How the body of a request is framed (RFC 9112 section 6.3).
enum class BodyFraming : uint8_t { kNone, kContentLength, kChunked };

// A complete, valid request head. Every view points into the input that was parsed and lives as
// long. Implemented by the parser (request_head_parser.h); shown here as what its readers may rely
// on.
class RequestHead {
 public:
  static constexpr uint32_t kFieldsMax = 128;

  std::string_view method;
  std::string_view target;    // as sent
  std::string_view path;      // origin-form or absolute-form path, not decoded; "*" for OPTIONS *
  std::string_view query;     // after '?', without it
  std::string_view host;      // the Host field, or the authority of an absolute-form target
  uint8_t version_minor = 1;  // HTTP/1.x
  bool keep_alive = true;     // by version and Connection (RFC 9112 section 9.3)
  bool expect_continue = false;
  BodyFraming body_framing = BodyFraming::kNone;
  uint64_t content_length = 0;  // with kContentLength
  uint32_t head_bytes = 0;      // bytes of the input that the head took, final CRLF included

  bool has_content() const {
    return body_framing == BodyFraming::kChunked ||
           (body_framing == BodyFraming::kContentLength && content_length > 0);
  }

  uint32_t field_count = 0;
  Field fields[kFieldsMax];

  // First field of that name (case-insensitive), or nullopt. FindNext walks repeated ones.
  std::optional<std::string_view> Find(std::string_view name) const;
  // Index of the next field of that name at or after `from`, or field_count.
  uint32_t FindIndex(std::string_view name, uint32_t from = 0) const;
};

}  // namespace ringmaster::http
