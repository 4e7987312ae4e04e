// The request parser must give one answer to the same bytes, however they are cut. The first byte
// chooses the size of the pieces and the limits; the rest is the request.

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "protocols/http/codec/request_head_parser.h"
#include "protocols/http/codec/uri.h"

namespace {

using ringmaster::http::HeadLimits;
using ringmaster::http::HeadResult;
using ringmaster::http::RequestHead;
using ringmaster::http::RequestHeadParser;

RequestHead head;

std::string Describe(HeadResult result) {
  std::string text = std::to_string(static_cast<int>(result)) + "|";
  if (result != HeadResult::kDone) return text;
  for (std::string_view part : {head.method, head.target, head.path, head.query, head.host}) {
    text.append(part).append("|");
  }
  text += std::to_string(head.version_minor) + (head.keep_alive ? "K" : "C") +
          (head.expect_continue ? "E" : "-") + std::to_string(static_cast<int>(head.body_framing)) +
          "/" + std::to_string(head.content_length) + "/" + std::to_string(head.head_bytes);
  for (uint32_t i = 0; i < head.field_count; i++) {
    text.append("\n").append(head.fields[i].name).append("=").append(head.fields[i].value);
  }
  return text;
}

std::string ParseInPieces(std::string_view bytes, size_t piece, const HeadLimits& limits) {
  RequestHeadParser parser;
  for (size_t end = 0;;) {
    end = std::min(bytes.size(), end + piece);
    // Memory of its own for each prefix, so that the sanitizer sees a view kept from an earlier
    // one.
    auto copy = std::make_unique<char[]>(end + 1);
    bytes.copy(copy.get(), end);
    const HeadResult result = parser.Parse({copy.get(), end}, limits, head);
    if (result != HeadResult::kIncomplete || end == bytes.size()) return Describe(result);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 4096) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  HeadLimits limits;
  if (data[0] >= 0x80) {
    limits.head_bytes_max = 64;
    limits.target_bytes_max = 16;
    limits.fields_max = 2;
  }
  const std::string whole = ParseInPieces(bytes, bytes.size() + 1, limits);
  if (ParseInPieces(bytes, 1, limits) != whole) abort();
  if (ParseInPieces(bytes, data[0] % 16 + 2u, limits) != whole) abort();

  std::string path;
  if (ringmaster::http::DecodePath(bytes, path)) {
    // A decoded path never leaves its root.
    const std::string ended = path + "/";
    if (ended.find("/../") != std::string::npos || ended.find("/./") != std::string::npos) abort();
    if (path.find('\0') != std::string::npos && bytes.find('\0') == std::string_view::npos) abort();
  }
  return 0;
}
