#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ringmaster::http {

inline constexpr size_t kGenerationHeaderBytesMax = 64;

// What is wrong with `name` as the header that says which generation of the worker answers
// (ServiceOptions::generation_header), and what would be right: it must be a field name (RFC 9110
// section 5.1) of at most kGenerationHeaderBytesMax bytes and no field that the server sends
// itself. Empty: nothing is wrong. An empty name stands for no such header.
std::string GenerationHeaderError(std::string_view name);

}  // namespace ringmaster::http
