#include "protocols/http/codec/chunked_decoder.h"

#include <algorithm>

#include "protocols/http/codec/characters.h"

namespace ringmaster::http {
namespace {

// 16 digits are 64 bits; leading zeros count, so that a size line stays short.
constexpr uint8_t kSizeDigitsMax = 16;

// Names that must not come late: they frame the message, route it, or govern the connection.
// Letting them through would invite whoever merges trailers into the head to be fooled.
constexpr std::string_view kForbiddenTrailers[] = {
    "content-length", "transfer-encoding", "host",   "connection",
    "trailer",        "upgrade",           "expect", "te",
};

}  // namespace

ChunkedDecoder::Event ChunkedDecoder::Next(std::string_view& input, const ChunkedLimits& limits) {
  while (!input.empty()) {
    if (state_ == State::kData) {
      const size_t taken = static_cast<size_t>(std::min<uint64_t>(chunk_left_, input.size()));
      data_ = input.substr(0, taken);
      input.remove_prefix(taken);
      chunk_left_ -= taken;
      body_bytes_ += taken;
      if (chunk_left_ == 0) state_ = State::kDataCr;
      return Event::kData;
    }
    if (state_ == State::kEnd) return Event::kEnd;
    const char c = input.front();
    input.remove_prefix(1);
    Event event = Event::kNeedMore;
    if (state_ == State::kSize || state_ == State::kSizeLf) {
      event = TakeSizeByte(c, limits);
    } else if (state_ < State::kSizeLf) {
      const bool valid = ++extension_bytes_ <= limits.extension_bytes_max && TakeExtensionByte(c);
      event = valid ? Event::kNeedMore : Event::kBadRequest;
    } else if (state_ == State::kDataCr) {
      state_ = State::kDataLf;
      if (c != '\r') event = Event::kBadRequest;
    } else if (state_ == State::kDataLf) {
      state_ = State::kSize;
      size_digits_ = 0;
      if (c != '\n') event = Event::kBadRequest;
    } else {
      event = TakeTrailerByte(c, limits);
    }
    if (event != Event::kNeedMore) return event;
  }
  return state_ == State::kEnd ? Event::kEnd : Event::kNeedMore;
}

ChunkedDecoder::Event ChunkedDecoder::TakeSizeByte(char c, const ChunkedLimits& limits) {
  if (state_ == State::kSizeLf) {
    if (c != '\n') return Event::kBadRequest;
    state_ = chunk_left_ == 0 ? State::kTrailerStart : State::kData;
    return Event::kNeedMore;
  }
  const int digit = HexValue(c);
  if (digit >= 0) {
    if (size_digits_ == kSizeDigitsMax) return Event::kBadRequest;
    size_digits_++;
    chunk_left_ = chunk_left_ << 4 | static_cast<uint64_t>(digit);
    // Refused at the digit that makes it too large, before a byte of the chunk was asked for.
    if (chunk_left_ > limits.body_bytes_max - body_bytes_) return Event::kContentTooLarge;
    return Event::kNeedMore;
  }
  if (size_digits_ == 0) return Event::kBadRequest;
  if (c == '\r') {
    state_ = State::kSizeLf;
  } else if (c == ';') {
    state_ = State::kExtensionStart;
  } else if (IsBlank(c)) {
    state_ = State::kExtensionBlank;
  } else {
    return Event::kBadRequest;
  }
  return Event::kNeedMore;
}

// chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ), RFC 9112
// section 7.1.1. Blanks may not stand at the end of the line, nor behind a bare size.
bool ChunkedDecoder::TakeExtensionByte(char c) {
  switch (state_) {
    case State::kExtensionBlank:
      if (c == ';') state_ = State::kExtensionStart;
      return c == ';' || IsBlank(c);
    case State::kExtensionStart:
      if (IsBlank(c)) return true;
      state_ = State::kExtensionName;
      return Is(kTokenChar, c);
    case State::kExtensionName:
      if (Is(kTokenChar, c)) return true;
      if (IsBlank(c)) {
        state_ = State::kExtensionNameBlank;
        return true;
      }
      [[fallthrough]];
    case State::kExtensionNameBlank:
      if (state_ == State::kExtensionNameBlank && IsBlank(c)) return true;
      if (c == '=') {
        state_ = State::kExtensionValueStart;
      } else if (c == ';') {
        state_ = State::kExtensionStart;
      } else if (c == '\r' && state_ == State::kExtensionName) {
        state_ = State::kSizeLf;
      } else {
        return false;
      }
      return true;
    case State::kExtensionValueStart:
      if (IsBlank(c)) return true;
      state_ = c == '"' ? State::kExtensionQuoted : State::kExtensionToken;
      return c == '"' || Is(kTokenChar, c);
    case State::kExtensionToken:
      if (Is(kTokenChar, c)) return true;
      [[fallthrough]];
    case State::kExtensionQuotedEnd:
      if (c == '\r') {
        state_ = State::kSizeLf;
      } else if (c == ';') {
        state_ = State::kExtensionStart;
      } else if (IsBlank(c)) {
        state_ = State::kExtensionBlank;
      } else {
        return false;
      }
      return true;
    case State::kExtensionQuoted:
      if (c == '"') state_ = State::kExtensionQuotedEnd;
      if (c == '\\') state_ = State::kExtensionQuotedPair;
      return Is(kValueChar, c);
    case State::kExtensionQuotedPair:
      state_ = State::kExtensionQuoted;
      return Is(kValueChar, c);
    default:
      return false;
  }
}

ChunkedDecoder::Event ChunkedDecoder::TakeTrailerByte(char c, const ChunkedLimits& limits) {
  if (state_ == State::kFinalLf) {
    if (c != '\n') return Event::kBadRequest;
    state_ = State::kEnd;
    return Event::kEnd;
  }
  if (state_ == State::kTrailerStart && c == '\r') {
    state_ = State::kFinalLf;
    return Event::kNeedMore;
  }
  if (trailers_.size() == limits.trailer_bytes_max) return Event::kTrailersTooLarge;
  trailers_ += c;
  switch (state_) {
    case State::kTrailerStart:
      if (!Is(kTokenChar, c)) return Event::kBadRequest;
      if (++trailer_count_ > limits.trailer_fields_max) return Event::kTrailersTooLarge;
      trailer_line_ = static_cast<uint32_t>(trailers_.size() - 1);
      state_ = State::kTrailerName;
      break;
    case State::kTrailerName:
      if (c == ':') {
        if (!TrailerIsAllowed()) return Event::kBadRequest;
        state_ = State::kTrailerValue;
      } else if (!Is(kTokenChar, c)) {
        return Event::kBadRequest;
      }
      break;
    case State::kTrailerValue:
      if (c == '\r') {
        state_ = State::kTrailerLf;
      } else if (!Is(kValueChar, c)) {
        return Event::kBadRequest;
      }
      break;
    default:
      if (c != '\n') return Event::kBadRequest;
      state_ = State::kTrailerStart;
      break;
  }
  return Event::kNeedMore;
}

bool ChunkedDecoder::TrailerIsAllowed() const {
  std::string_view name = std::string_view(trailers_).substr(trailer_line_);
  name.remove_suffix(1);
  return std::none_of(
      std::begin(kForbiddenTrailers), std::end(kForbiddenTrailers),
      [name](std::string_view forbidden) { return EqualsIgnoreCase(name, forbidden); });
}

std::string_view ChunkedDecoder::FindTrailer(std::string_view name) const {
  std::string_view rest = trailers_;
  while (!rest.empty()) {
    const size_t line_end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, line_end);
    const size_t colon = line.find(':');
    if (EqualsIgnoreCase(line.substr(0, colon), name)) return TrimBlanks(line.substr(colon + 1));
    rest.remove_prefix(line_end + 2);
  }
  return {};
}

}  // namespace ringmaster::http
