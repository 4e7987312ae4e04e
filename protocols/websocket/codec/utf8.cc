#include "protocols/websocket/codec/utf8.h"

#include <simdjson.h>

#include <cstring>

namespace ringmaster::websocket {
namespace {

// Below this the vector kernel's set-up and indirect call cost more than they save.
constexpr size_t kVectorBytesMin = 64;

// How many bytes at the end belong to a sequence that may be continued by the next piece.
size_t IncompleteTailBytes(std::string_view bytes) {
  for (size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    const uint8_t byte = static_cast<uint8_t>(bytes[bytes.size() - back]);
    if (byte < 0x80) return 0;
    if (byte >= 0xC0) return back;
  }
  return 0;
}

}  // namespace

bool Utf8Validator::FeedByByte(std::string_view bytes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  while (at != end) {
    const uint8_t byte = static_cast<uint8_t>(*at);
    if (continuations_ != 0) {
      if (byte < lowest_ || byte > highest_) return false;
      --continuations_;
      lowest_ = 0x80;
      highest_ = 0xBF;
      ++at;
      continue;
    }
    if (byte < 0x80) {
      uint64_t word;
      while (end - at >= 8) {
        std::memcpy(&word, at, 8);
        if ((word & 0x8080808080808080u) != 0) break;
        at += 8;
      }
      while (at != end && static_cast<uint8_t>(*at) < 0x80) ++at;
      continue;
    }
    // RFC 3629 section 4: the second octet is narrower after E0, ED, F0 and F4.
    if (byte >= 0xC2 && byte <= 0xDF) {
      continuations_ = 1;
    } else if (byte >= 0xE0 && byte <= 0xEF) {
      continuations_ = 2;
      if (byte == 0xE0) lowest_ = 0xA0;
      if (byte == 0xED) highest_ = 0x9F;
    } else if (byte >= 0xF0 && byte <= 0xF4) {
      continuations_ = 3;
      if (byte == 0xF0) lowest_ = 0x90;
      if (byte == 0xF4) highest_ = 0x8F;
    } else {
      return false;
    }
    ++at;
  }
  return true;
}

bool Utf8Validator::Feed(std::string_view bytes) {
  // Finish the sequence that the last piece began.
  size_t head = 0;
  while (continuations_ != 0 && head < bytes.size()) {
    if (!FeedByByte(bytes.substr(head, 1))) return false;
    ++head;
  }
  bytes.remove_prefix(head);
  if (bytes.size() < kVectorBytesMin) return FeedByByte(bytes);
  // The body ends before a lead octet or after a complete sequence, so it is valid exactly if it is
  // valid as a whole text.
  const size_t tail = IncompleteTailBytes(bytes);
  if (!simdjson::validate_utf8(bytes.data(), bytes.size() - tail)) return false;
  return FeedByByte(bytes.substr(bytes.size() - tail));
}

bool IsValidUtf8(std::string_view text) {
  if (text.size() >= kVectorBytesMin) return simdjson::validate_utf8(text.data(), text.size());
  Utf8Validator validator;
  return validator.Feed(text) && validator.at_boundary();
}

}  // namespace ringmaster::websocket
