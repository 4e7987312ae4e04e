#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "protocols/http/codec/request_head.h"

namespace ringmaster::http {

// What a GET or HEAD of a representation should answer by its preconditions (RFC 9110
// section 13.2.2).
enum class Precondition : uint8_t { kProceed, kNotModified, kFailed };

// `etag` is the current one as it would be sent, `"abc"` or `W/"abc"`; `last_modified` in seconds
// since 1970. `now` is for dates with two-digit years.
Precondition EvaluatePreconditions(const RequestHead& head, std::string_view etag,
                                   int64_t last_modified, int64_t now);

enum class EtagComparison : uint8_t { kStrong, kWeak };
bool EtagsMatch(std::string_view a, std::string_view b, EtagComparison comparison);
// Whether a list of If-Match or If-None-Match, or "*", names `etag`. False for a list that is
// malformed from there on.
bool EtagListMatches(std::string_view list, std::string_view etag, EtagComparison comparison);

// If-Range (RFC 9110 section 13.1.5): true when the range may be used: no such field, the same
// strong ETag, or exactly the date.
bool IfRangeMatches(const RequestHead& head, std::string_view etag, int64_t last_modified,
                    int64_t now);

struct ByteRange {
  uint64_t first = 0;
  uint64_t bytes = 0;
};
enum class RangeResult : uint8_t {
  kIgnore,         // no range, several, another unit, or malformed: answer 200 with everything
  kSatisfiable,    // 206
  kUnsatisfiable,  // 416
};
// Reads a Range field for a representation of `size` bytes. Several ranges are ignored, as RFC 9110
// section 14.2 permits: nobody pays for a multipart answer.
RangeResult ParseRange(std::string_view value, uint64_t size, ByteRange& range);

}  // namespace ringmaster::http
