#pragma once

#include <cstdint>
#include <string_view>

namespace ringmaster::http {

// The methods of RFC 9110 and PATCH. Method names are case-sensitive.
enum class Method : uint8_t {
  kGet,
  kHead,
  kPost,
  kPut,
  kDelete,
  kPatch,
  kOptions,
  kTrace,
  kConnect,
  kOther,
};
inline constexpr int kMethodCount = 10;

Method MethodOf(std::string_view name);
// "GET"; "" for kOther.
std::string_view MethodName(Method method);

}  // namespace ringmaster::http
