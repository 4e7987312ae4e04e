#include "engine/config/spelling.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace ringmaster::config {
namespace {

// A key longer than this is no slip of the keyboard, and the distance costs the product of the
// lengths.
constexpr size_t kWordBytesMax = 64;

// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitution = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

}  // namespace

std::string_view NearestWord(std::string_view typed, std::span<const std::string_view> words) {
  if (typed.size() > kWordBytesMax) return {};
  std::string_view nearest;
  // Two slips, or one in a short word; or the typed word is a piece of the right one
  // ("read_timeout").
  size_t best = typed.size() < 5 ? 2 : 3;
  for (std::string_view word : words) {
    const size_t distance = EditDistance(typed, word);
    if (distance < best) {
      best = distance;
      nearest = word;
    }
  }
  if (!nearest.empty()) return nearest;
  for (std::string_view word : words) {
    if (typed.size() >= 4 && word.size() >= 4 &&
        (word.find(typed) != std::string_view::npos ||
         typed.find(word) != std::string_view::npos)) {
      return word;
    }
  }
  return {};
}

std::string ListWords(std::span<const std::string_view> words) {
  std::string list;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) list += i + 1 == words.size() ? " or " : ", ";
    list += fmt::format("\"{}\"", words[i]);
  }
  return list;
}

}  // namespace ringmaster::config
