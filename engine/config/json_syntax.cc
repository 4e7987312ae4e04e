#include "engine/config/json_syntax.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>

namespace ringmaster::config {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsHexDigit(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Length of the UTF-8 sequence at the front of `text`, or 0 if there is none (RFC 3629).
size_t Utf8SequenceBytes(std::string_view text) {
  const auto byte = [&](size_t i) -> uint32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto is_tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const uint32_t first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return is_tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!is_tail(1) || !is_tail(2)) return 0;
    const uint32_t code = (first & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    return code >= 0x800 && (code < 0xd800 || code > 0xdfff) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!is_tail(1) || !is_tail(2) || !is_tail(3)) return 0;
    const uint32_t code =
        (first & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
    return code >= 0x10000 && code <= 0x10ffff ? 4 : 0;
  }
  return 0;
}

// simdjson takes integers of 64 bits, signed or not, and other numbers that a double holds (a tiny
// one may round to zero). `number` follows the grammar.
bool IsRepresentable(const std::string& number) {
  if (number.find_first_of(".eE") != std::string::npos) {
    return std::isfinite(std::strtod(number.c_str(), nullptr));
  }
  const char* const end = number.data() + number.size();
  int64_t negative = 0;
  uint64_t positive = 0;
  return std::from_chars(number.data(), end, positive).ec == std::errc() ||
         std::from_chars(number.data(), end, negative).ec == std::errc();
}

// A recursive descent over RFC 8259 that stops at the first fault. Each function returns false once
// message_ is set.
class SyntaxScanner {
 public:
  explicit SyntaxScanner(std::string_view text) : text_(text) {}

  JsonError Run() {
    if (text_.starts_with("\xef\xbb\xbf")) {
      Fail("the text begins with a byte order mark; save it as UTF-8 without one");
    } else {
      SkipSpace();
      if (AtEnd()) {
        return {{}, "holds no JSON; the smallest configuration is {}"};
      }
      if (Value(1)) {
        SkipSpace();
        if (!AtEnd())
          Fail(fmt::format("expected nothing behind the last bracket, found {}", Found()));
      }
    }
    return {PositionOf(offset_), message_.empty() ? "" : "not valid JSON: " + message_};
  }

 private:
  bool Value(int depth) {
    if (depth > kJsonDepthMax) {
      return Fail(fmt::format("nested deeper than {} levels", kJsonDepthMax));
    }
    if (AtEnd()) return Fail("expected a value, found the end of the text");
    const char c = text_[offset_];
    if (c == '{') return Object(depth);
    if (c == '[') return Array(depth);
    if (c == '"') return String();
    if (c == '-' || IsDigit(c)) return Number();
    for (std::string_view word : {"true", "false", "null"}) {
      if (Word() == word) {
        offset_ += word.size();
        return true;
      }
    }
    return Fail(fmt::format("expected a value, found {}", Found()));
  }

  bool Object(int depth) {
    ++offset_;
    SkipSpace();
    if (TakeIf('}')) return true;
    for (;;) {
      if (AtEnd() || text_[offset_] != '"') {
        return Fail(fmt::format("expected a key in double quotes, found {}", Found()));
      }
      if (!String()) return false;
      SkipSpace();
      if (!TakeIf(':'))
        return Fail(fmt::format("expected \":\" behind the key, found {}", Found()));
      SkipSpace();
      if (!Value(depth + 1)) return false;
      SkipSpace();
      if (TakeIf('}')) return true;
      if (!TakeComma('}')) return false;
    }
  }

  bool Array(int depth) {
    ++offset_;
    SkipSpace();
    if (TakeIf(']')) return true;
    for (;;) {
      if (!Value(depth + 1)) return false;
      SkipSpace();
      if (TakeIf(']')) return true;
      if (!TakeComma(']')) return false;
    }
  }

  // A comma and what may follow it; `closing` is the bracket that may not.
  bool TakeComma(char closing) {
    const size_t comma = offset_;
    if (!TakeIf(',')) {
      return Fail(fmt::format("expected \",\" or \"{}\", found {}", closing, Found()));
    }
    SkipSpace();
    if (!AtEnd() && text_[offset_] == closing) {
      offset_ = comma;
      return Fail(fmt::format("a comma before \"{}\"; leave it out", closing));
    }
    return true;
  }

  bool String() {
    const size_t opening = offset_++;
    while (!AtEnd()) {
      const char c = text_[offset_];
      if (c == '"') {
        ++offset_;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) {
        if (c == '\n') {
          offset_ = opening;
          return Fail("the string that begins here does not end on its line");
        }
        return Fail(fmt::format("control character {:#04x} in a string; write it as \\u{:04x}",
                                static_cast<unsigned char>(c), static_cast<unsigned char>(c)));
      }
      if (c == '\\') {
        if (!Escape()) return false;
        continue;
      }
      const size_t bytes = Utf8SequenceBytes(text_.substr(offset_));
      if (bytes == 0) return Fail(fmt::format("{} is not UTF-8", Found()));
      offset_ += bytes;
    }
    offset_ = opening;
    return Fail("the string that begins here does not end");
  }

  // Reads the four digits of \uXXXX at the offset; false when it is none. The offset moves behind
  // it.
  bool UnicodeEscape(uint32_t& unit) {
    if (text_.size() - offset_ < 6 || text_[offset_] != '\\' || text_[offset_ + 1] != 'u')
      return false;
    const char* digits = text_.data() + offset_ + 2;
    if (!std::all_of(digits, digits + 4, IsHexDigit)) return false;
    std::from_chars(digits, digits + 4, unit, 16);
    offset_ += 6;
    return true;
  }

  bool Escape() {
    if (text_.size() - offset_ < 2) return Fail("a lone backslash at the end of the text");
    const char c = text_[offset_ + 1];
    if (c != 'u') {
      if (std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos) {
        return Fail("unknown escape in a string; a backslash itself is written \"\\\\\"");
      }
      offset_ += 2;
      return true;
    }
    const size_t begin = offset_;
    uint32_t unit = 0;
    uint32_t low = 0;
    if (!UnicodeEscape(unit)) return Fail("\\u is followed by four hexadecimal digits");
    if (unit >= 0xdc00 && unit <= 0xdfff) {
      offset_ = begin;
      return Fail("half of a surrogate pair in a string");
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
      if (!UnicodeEscape(low) || low < 0xdc00 || low > 0xdfff) {
        offset_ = begin;
        return Fail("half of a surrogate pair in a string");
      }
    }
    return true;
  }

  bool Number() {
    const size_t begin = offset_;
    TakeIf('-');
    if (!TakeIf('0') && !Digits()) return FailNumber(begin);
    if (TakeIf('.') && !Digits()) return FailNumber(begin);
    if (TakeIf('e') || TakeIf('E')) {
      if (!TakeIf('+')) TakeIf('-');
      if (!Digits()) return FailNumber(begin);
    }
    if (!AtEnd() &&
        (IsDigit(text_[offset_]) || IsLetter(text_[offset_]) || text_[offset_] == '.')) {
      return FailNumber(begin);
    }
    if (!IsRepresentable(std::string(text_.substr(begin, offset_ - begin)))) {
      offset_ = begin;
      return Fail("a number too large to be represented");
    }
    return true;
  }

  bool FailNumber(size_t begin) {
    offset_ = begin;
    size_t end = begin;
    while (end < text_.size() && end - begin < 24 &&
           (IsDigit(text_[end]) || IsLetter(text_[end]) || text_[end] == '.' || text_[end] == '-' ||
            text_[end] == '+')) {
      ++end;
    }
    return Fail(fmt::format("{} is no number; a value with a unit stands in double quotes",
                            text_.substr(begin, end - begin)));
  }

  bool Digits() {
    const size_t begin = offset_;
    while (!AtEnd() && IsDigit(text_[offset_])) ++offset_;
    return offset_ > begin;
  }

  std::string_view Word() const {
    size_t end = offset_;
    while (end < text_.size() && end - offset_ < 24 &&
           (IsLetter(text_[end]) || IsDigit(text_[end]))) {
      ++end;
    }
    return text_.substr(offset_, end - offset_);
  }

  // What stands at the offset, for "found ...".
  std::string Found() const {
    if (AtEnd()) return "the end of the text";
    const std::string_view rest = text_.substr(offset_);
    if (rest.starts_with("//") || rest.starts_with("/*") || rest.starts_with("#")) {
      return "a comment; JSON has none";
    }
    if (rest.starts_with("'")) return "a single quote; JSON strings stand in double quotes";
    if (!Word().empty()) return fmt::format("\"{}\"", Word());
    const auto byte = static_cast<unsigned char>(rest[0]);
    if (byte >= 0x20 && byte < 0x7f) return fmt::format("\"{}\"", rest[0]);
    return fmt::format("byte {:#04x}", byte);
  }

  bool AtEnd() const { return offset_ >= text_.size(); }
  void SkipSpace() {
    while (!AtEnd() && IsJsonSpace(text_[offset_])) ++offset_;
  }
  bool TakeIf(char c) {
    if (AtEnd() || text_[offset_] != c) return false;
    ++offset_;
    return true;
  }
  bool Fail(std::string message) {
    message_ = std::move(message);
    return false;
  }

  Position PositionOf(size_t offset) const {
    const std::string_view before = text_.substr(0, offset);
    const size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
    const size_t newline = before.rfind('\n');
    const size_t column = newline == std::string_view::npos ? offset + 1 : offset - newline;
    return {static_cast<uint32_t>(line), static_cast<uint32_t>(column)};
  }

  std::string_view text_;
  size_t offset_ = 0;
  std::string message_;
};

}  // namespace

JsonError FindJsonSyntaxError(std::string_view text) { return SyntaxScanner(text).Run(); }

}  // namespace ringmaster::config
