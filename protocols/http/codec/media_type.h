#pragma once

#include <string_view>

namespace ringmaster::http {

// The Content-Type of a file by its name's extension, any case, charset included for text;
// "application/octet-stream" for one that is not known.
std::string_view MediaTypeOf(std::string_view file_name);

}  // namespace ringmaster::http
