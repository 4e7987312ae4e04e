#pragma once

#include <array>
#include <cstdint>
#include <string_view>

// The character classes of RFC 9110 and RFC 3986 as one table, and the case-insensitive comparison
// that field names need. One table of bits keeps every per-byte test at one load.

namespace ringmaster::http {

enum CharacterClass : uint8_t {
  kTokenChar = 1 << 0,  // tchar, RFC 9110 section 5.6.2
  kPathChar = 1 << 1,   // what a request target may carry before '?'
  kQueryChar = 1 << 2,  // ... and behind it
  kValueChar = 1 << 3,  // field content: HTAB, SP, VCHAR, obs-text
  kHostChar = 1 << 4,   // reg-name of RFC 3986 without '%', which is looked at on its own
  kHexDigit = 1 << 5,
};

namespace internal {
constexpr std::array<uint8_t, 256> MakeCharacterTable() {
  std::array<uint8_t, 256> table{};
  auto add = [&table](std::string_view characters, uint8_t bits) {
    for (char c : characters) table[static_cast<uint8_t>(c)] |= bits;
  };
  constexpr std::string_view kAlnum =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  add(kAlnum, kTokenChar | kPathChar | kQueryChar | kHostChar);
  add("!#$%&'*+-.^_`|~", kTokenChar);
  add("-._~!$&'()*+,;=", kPathChar | kQueryChar | kHostChar);
  // Browsers send '[', ']' and '|' in paths as they are (WHATWG URL), although RFC 3986 does not
  // list them; nothing is ambiguous about them.
  add("/:@%[]|", kPathChar | kQueryChar);
  // The same for queries; '#', '"', '<' and '>' are sent raw by nobody who means well.
  add("?{}^`\\", kQueryChar);
  add("0123456789abcdefABCDEF", kHexDigit);
  table['\t'] |= kValueChar;
  for (int c = 0x20; c < 256; c++) {
    if (c != 0x7f) table[static_cast<size_t>(c)] |= kValueChar;
  }
  return table;
}
inline constexpr std::array<uint8_t, 256> kCharacterTable = MakeCharacterTable();
}  // namespace internal

constexpr bool Is(CharacterClass wanted, char c) {
  return (internal::kCharacterTable[static_cast<uint8_t>(c)] & wanted) != 0;
}

constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool IsAlpha(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
constexpr bool IsBlank(char c) { return c == ' ' || c == '\t'; }
constexpr char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// -1 when `c` is not a hexadecimal digit.
constexpr int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  const char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

constexpr bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); i++) {
    if (ToLower(a[i]) != ToLower(b[i])) return false;
  }
  return true;
}

constexpr std::string_view TrimBlanks(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

constexpr bool IsToken(std::string_view text) {
  if (text.empty()) return false;
  for (char c : text) {
    if (!Is(kTokenChar, c)) return false;
  }
  return true;
}

// Calls `visit(element)` for each element of a comma-separated list (RFC 9110 section 5.6.1),
// trimmed, the empty ones included; stops when it returns false.
template <typename Visit>
constexpr void ForEachListElement(std::string_view list, Visit visit) {
  for (;;) {
    const size_t comma = list.find(',');
    if (!visit(TrimBlanks(list.substr(0, comma)))) return;
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace ringmaster::http
