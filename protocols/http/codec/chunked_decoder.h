#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ringmaster::http {

struct ChunkedLimits {
  uint64_t body_bytes_max = UINT64_MAX;
  // Extensions of all chunks of a body together: nobody needs them, and without a bound a body of
  // one-byte chunks carries any number of bytes that no body limit sees.
  uint32_t extension_bytes_max = 4096;
  uint32_t trailer_bytes_max = 8192;
  uint32_t trailer_fields_max = 64;
};

// Decodes a chunked body (RFC 9112 section 7.1), exactly: sizes of 1 to 16 hexadecimal digits with
// no sign or blank, extensions by their grammar, every line end CR LF, trailers held to the rules
// of header fields. Works in place on any cut of the input; the data and the verdict do not depend
// on the cuts.
//
//   ChunkedDecoder decoder;
//   for (;;) {
//     switch (decoder.Next(input, limits)) {   // takes bytes from the front of `input`
//       case ChunkedDecoder::Event::kData: Use(decoder.data()); break;
//       case ChunkedDecoder::Event::kNeedMore: return;  // `input` is empty
//       case ChunkedDecoder::Event::kEnd: ...           // `input` begins behind the body
//       default: refuse with 400, 413 or 431, and close
//     }
//   }
class ChunkedDecoder {
 public:
  enum class Event : uint16_t {
    kNeedMore = 0,
    kData = 1,
    kEnd = 2,
    kBadRequest = 400,
    kContentTooLarge =
        413,  // a chunk size announces more than body_bytes_max: nothing of it was given
    kTrailersTooLarge = 431,
  };

  Event Next(std::string_view& input, const ChunkedLimits& limits);

  // After kData: a piece of the body inside the input of that call.
  std::string_view data() const { return data_; }
  uint64_t body_bytes() const { return body_bytes_; }

  // After kEnd: the trailer section as it came, whole lines "Name: value\r\n". Fields that decide
  // about framing, routing or the connection are refused in trailers (RFC 9110 section 6.5.1).
  std::string_view trailers() const { return trailers_; }
  // The first trailer field of that name, without surrounding blanks; data() == nullptr when
  // absent.
  std::string_view FindTrailer(std::string_view name) const;

  void Reset() { *this = ChunkedDecoder(); }

 private:
  enum class State : uint8_t {
    kSize,
    kExtensionBlank,  // blanks that must lead to ';'
    kExtensionStart,  // behind ';'
    kExtensionName,
    kExtensionNameBlank,   // blanks that must lead to '=' or ';'
    kExtensionValueStart,  // behind '='
    kExtensionToken,
    kExtensionQuoted,
    kExtensionQuotedPair,
    kExtensionQuotedEnd,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailerName,
    kTrailerValue,
    kTrailerLf,
    kFinalLf,
    kEnd,
  };

  Event TakeSizeByte(char c, const ChunkedLimits& limits);
  bool TakeExtensionByte(char c);
  Event TakeTrailerByte(char c, const ChunkedLimits& limits);
  bool TrailerIsAllowed() const;

  State state_ = State::kSize;
  uint8_t size_digits_ = 0;
  uint32_t extension_bytes_ = 0;
  uint32_t trailer_count_ = 0;
  uint32_t trailer_line_ = 0;  // where the trailer line under way begins in trailers_
  uint64_t chunk_left_ = 0;    // while the size is read: the size so far
  uint64_t body_bytes_ = 0;
  std::string_view data_;
  std::string trailers_;
};

}  // namespace ringmaster::http
