#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ringmaster::config {

// The word of `words` that `typed` was probably meant to be, or empty when none is near.
std::string_view NearestWord(std::string_view typed, std::span<const std::string_view> words);

// `"a", "b" or "c"`.
std::string ListWords(std::span<const std::string_view> words);

}  // namespace ringmaster::config
