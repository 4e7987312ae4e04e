#include "engine/base/json_string.h"

#include <cstddef>
#include <cstdint>

namespace ringmaster {
namespace {

// The length of the well-formed UTF-8 sequence at the start of `text` (RFC 3629 section 4); 0 when
// there is none.
size_t Utf8SequenceBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const auto continues = [&](size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!continues(1) || !continues(2)) return 0;
    if (first == 0xE0 && byte(1) < 0xA0) return 0;  // longer than needed
    if (first == 0xED && byte(1) > 0x9F) return 0;  // a surrogate
    return 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if (first == 0xF0 && byte(1) < 0x90) return 0;
    if (first == 0xF4 && byte(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

void AppendControl(std::string& out, uint8_t octet) {
  constexpr char kHex[] = "0123456789abcdef";
  out += "\\u00";
  out += kHex[octet >> 4];
  out += kHex[octet & 15];
}

}  // namespace

void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const uint8_t octet = static_cast<uint8_t>(text[0]);
    size_t taken = 1;
    if (octet == '"' || octet == '\\') {
      out += '\\';
      out += text[0];
    } else if (octet == '\n') {
      out += "\\n";
    } else if (octet < 0x20 || octet == 0x7F) {
      AppendControl(out, octet);
    } else if (const size_t length = Utf8SequenceBytes(text); length > 0) {
      out.append(text.substr(0, length));
      taken = length;
    } else {
      out += "\\ufffd";
    }
    text.remove_prefix(taken);
  }
  out += '"';
}

}  // namespace ringmaster
