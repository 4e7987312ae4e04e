#pragma once

#include <string>
#include <string_view>

namespace ringmaster {

// Appends `text` as a JSON string, quotes included (RFC 8259 section 7). Octets that are not UTF-8
// become U+FFFD, so that what a stranger sent can never make the line invalid.
void AppendJsonString(std::string& out, std::string_view text);

}  // namespace ringmaster
