#include "protocols/http/codec/conditional.h"

#include <algorithm>

#include "protocols/http/codec/characters.h"
#include "protocols/http/codec/http_date.h"

namespace ringmaster::http {
namespace {

bool IsWeak(std::string_view etag) { return etag.substr(0, 2) == "W/"; }

std::string_view OpaqueTag(std::string_view etag) { return IsWeak(etag) ? etag.substr(2) : etag; }

bool ReadNumber(std::string_view digits, uint64_t& number) {
  if (digits.empty()) return false;
  number = 0;
  for (char c : digits) {
    if (!IsDigit(c)) return false;
    const uint64_t digit = static_cast<uint64_t>(c - '0');
    // A position beyond 64 bits lies behind the end of everything.
    number = number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : number * 10 + digit;
  }
  return true;
}

}  // namespace

bool EtagsMatch(std::string_view a, std::string_view b, EtagComparison comparison) {
  if (comparison == EtagComparison::kStrong && (IsWeak(a) || IsWeak(b))) return false;
  return OpaqueTag(a) == OpaqueTag(b);
}

bool EtagListMatches(std::string_view list, std::string_view etag, EtagComparison comparison) {
  list = TrimBlanks(list);
  if (list == "*") return true;
  // Commas may stand inside the quotes, so the list is read tag by tag.
  while (!list.empty()) {
    if (list.front() == ',' || IsBlank(list.front())) {
      list.remove_prefix(1);
      continue;
    }
    const size_t quote = IsWeak(list) ? 2 : 0;
    if (quote >= list.size() || list[quote] != '"') return false;
    const size_t end = list.find('"', quote + 1);
    if (end == std::string_view::npos) return false;
    if (EtagsMatch(list.substr(0, end + 1), etag, comparison)) return true;
    list.remove_prefix(end + 1);
  }
  return false;
}

Precondition EvaluatePreconditions(const RequestHead& head, std::string_view etag,
                                   int64_t last_modified, int64_t now) {
  const auto any_matches = [&](std::string_view name, EtagComparison comparison) {
    for (uint32_t i = head.FindIndex(name); i < head.field_count; i = head.FindIndex(name, i + 1)) {
      if (EtagListMatches(head.fields[i].value, etag, comparison)) return true;
    }
    return false;
  };
  if (head.Find("if-match")) {
    if (!any_matches("if-match", EtagComparison::kStrong)) return Precondition::kFailed;
  } else if (auto value = head.Find("if-unmodified-since")) {
    const auto date = ParseHttpDate(*value, now);
    if (date && last_modified > *date) return Precondition::kFailed;
  }
  if (head.Find("if-none-match")) {
    // If-Modified-Since is ignored beside it, whatever it says.
    return any_matches("if-none-match", EtagComparison::kWeak) ? Precondition::kNotModified
                                                               : Precondition::kProceed;
  }
  if (auto value = head.Find("if-modified-since")) {
    const auto date = ParseHttpDate(*value, now);
    if (date && last_modified <= *date) return Precondition::kNotModified;
  }
  return Precondition::kProceed;
}

bool IfRangeMatches(const RequestHead& head, std::string_view etag, int64_t last_modified,
                    int64_t now) {
  const auto value = head.Find("if-range");
  if (!value) return true;
  if (value->find('"') != std::string_view::npos) {
    return EtagsMatch(*value, etag, EtagComparison::kStrong);
  }
  return ParseHttpDate(*value, now) == last_modified;
}

RangeResult ParseRange(std::string_view value, uint64_t size, ByteRange& range) {
  const size_t equals = value.find('=');
  if (equals == std::string_view::npos || !EqualsIgnoreCase(value.substr(0, equals), "bytes")) {
    return RangeResult::kIgnore;
  }
  const std::string_view spec = TrimBlanks(value.substr(equals + 1));
  const size_t dash = spec.find('-');
  if (dash == std::string_view::npos) return RangeResult::kIgnore;
  const std::string_view first_digits = spec.substr(0, dash);
  const std::string_view last_digits = spec.substr(dash + 1);
  uint64_t first = 0;
  uint64_t last = 0;
  if (first_digits.empty()) {
    // "-500": the last 500 bytes.
    if (!ReadNumber(last_digits, last)) return RangeResult::kIgnore;
    if (last == 0 || size == 0) return RangeResult::kUnsatisfiable;
    range.bytes = std::min(last, size);
    range.first = size - range.bytes;
    return RangeResult::kSatisfiable;
  }
  if (!ReadNumber(first_digits, first)) return RangeResult::kIgnore;
  if (last_digits.empty()) {
    last = UINT64_MAX;
  } else if (!ReadNumber(last_digits, last) || last < first) {
    return RangeResult::kIgnore;
  }
  if (first >= size) return RangeResult::kUnsatisfiable;
  range.first = first;
  range.bytes = std::min(last, size - 1) - first + 1;
  return RangeResult::kSatisfiable;
}

}  // namespace ringmaster::http
