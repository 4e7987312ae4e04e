#pragma once

#include <string_view>

#include "engine/config/json_value.h"

namespace ringmaster::config {

constexpr bool IsJsonSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Says where and why `text` is not JSON (RFC 8259), in words for the person who wrote it. simdjson
// refuses such a text but does not say where, so this runs only after it did. An empty message
// means that nothing was found.
JsonError FindJsonSyntaxError(std::string_view text);

}  // namespace ringmaster::config
