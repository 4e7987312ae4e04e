// The chunked decoder must give one body and one verdict to the same bytes, however they are cut.
// The first byte chooses the size of the pieces and the limits; the rest is the body as sent.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "protocols/http/codec/chunked_decoder.h"

namespace {

using ringmaster::http::ChunkedDecoder;
using ringmaster::http::ChunkedLimits;

std::string DecodeInPieces(std::string_view bytes, size_t piece, const ChunkedLimits& limits) {
  ChunkedDecoder decoder;
  std::string body;
  ChunkedDecoder::Event event = ChunkedDecoder::Event::kNeedMore;
  size_t consumed = 0;
  while (event == ChunkedDecoder::Event::kNeedMore && consumed < bytes.size()) {
    const std::string copy(bytes.substr(consumed, piece));
    std::string_view input = copy;
    do {
      event = decoder.Next(input, limits);
      if (event == ChunkedDecoder::Event::kData) body += decoder.data();
    } while (event == ChunkedDecoder::Event::kData);
    consumed += copy.size() - input.size();
  }
  if (body.size() > limits.body_bytes_max) abort();
  const bool ended = event == ChunkedDecoder::Event::kEnd;
  return std::to_string(static_cast<int>(event)) + "|" + body + "|" +
         (ended ? std::to_string(consumed) : "") + "|" +
         (ended ? std::string(decoder.trailers()) : std::string());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 4096) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  ChunkedLimits limits;
  if (data[0] >= 0x80) {
    limits.body_bytes_max = 32;
    limits.extension_bytes_max = 16;
    limits.trailer_bytes_max = 24;
    limits.trailer_fields_max = 2;
  }
  const std::string whole = DecodeInPieces(bytes, bytes.size() + 1, limits);
  if (DecodeInPieces(bytes, 1, limits) != whole) abort();
  if (DecodeInPieces(bytes, data[0] % 16 + 2u, limits) != whole) abort();
  return 0;
}
