#include "bench/side_by_side/expected_answer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace side_by_side {

ExpectedAnswer::ExpectedAnswer(std::string bytes, size_t leading_bytes, size_t trailing_bytes)
    : bytes_(std::move(bytes)), leading_bytes_(leading_bytes), trailing_bytes_(trailing_bytes) {}

ExpectedAnswer ExpectedAnswer::Exact(std::string bytes) {
  const size_t size = bytes.size();
  return ExpectedAnswer(std::move(bytes), size, 0);
}

bool ExpectedAnswer::Matches(size_t offset, std::string_view data) const {
  offset %= bytes_.size();
  while (!data.empty()) {
    const size_t step = std::min(data.size(), bytes_.size() - offset);
    if (!MatchesOne(offset, data.substr(0, step))) return false;
    data.remove_prefix(step);
    offset = 0;
  }
  return true;
}

bool ExpectedAnswer::MatchesOne(size_t offset, std::string_view data) const {
  return RangeMatches(0, leading_bytes_, offset, data) &&
         RangeMatches(bytes_.size() - trailing_bytes_, bytes_.size(), offset, data);
}

// Compares the part of [begin, end) that `data` covers; an answer may arrive in several pieces.
bool ExpectedAnswer::RangeMatches(size_t begin, size_t end, size_t offset,
                                  std::string_view data) const {
  const size_t from = std::max(begin, offset);
  const size_t to = std::min(end, offset + data.size());
  if (from >= to) return true;
  return std::memcmp(bytes_.data() + from, data.data() + (from - offset), to - from) == 0;
}

}  // namespace side_by_side
