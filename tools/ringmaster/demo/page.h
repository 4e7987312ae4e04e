#pragma once

#include <string_view>

namespace ringmaster::demo {

// The demonstration page, page.html: one HTML document that loads nothing. It speaks to `ws` and
// reads `status.json`, both beside its own path. The bytes are part of the program.
std::string_view Page();

}  // namespace ringmaster::demo
