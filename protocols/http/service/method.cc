#include "protocols/http/service/method.h"

namespace ringmaster::http {
namespace {
constexpr std::string_view kNames[kMethodCount] = {"GET",   "HEAD",    "POST",  "PUT",     "DELETE",
                                                   "PATCH", "OPTIONS", "TRACE", "CONNECT", ""};
}  // namespace

Method MethodOf(std::string_view name) {
  if (name == "GET") [[likely]]
    return Method::kGet;
  for (int i = 1; i < kMethodCount - 1; i++) {
    if (name == kNames[i]) return static_cast<Method>(i);
  }
  return Method::kOther;
}

std::string_view MethodName(Method method) { return kNames[static_cast<int>(method)]; }

}  // namespace ringmaster::http
