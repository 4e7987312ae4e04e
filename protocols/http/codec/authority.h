#pragma once

#include <string_view>

namespace ringmaster::http {

// Whether `text` is `uri-host [ ":" port ]` (RFC 9110 section 7.2) with a host that is not empty
// and a port that fits 16 bits. User information is never part of it.
bool IsValidAuthority(std::string_view text);

}  // namespace ringmaster::http
