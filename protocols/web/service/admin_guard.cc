#include "protocols/web/service/admin_guard.h"

#include <arpa/inet.h>
#include <nettle/memops.h>

#include <algorithm>
#include <string>

namespace ringmaster::web {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool EqualsLower(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return Lower(a) == b; });
}

bool SameToken(std::string_view a, std::string_view b) {
  return a.size() == b.size() && memeql_sec(a.data(), b.data(), a.size()) == 1;
}

bool IsOfThisMachine(std::string_view address) {
  return address == "auto" || address.starts_with("unix:") || address.starts_with("127.") ||
         address.starts_with("[::1]");
}

}  // namespace

std::string_view BearerToken(std::string_view field) {
  constexpr std::string_view kScheme = "bearer";
  if (field.size() <= kScheme.size() || !EqualsLower(field.substr(0, kScheme.size()), kScheme) ||
      field[kScheme.size()] != ' ') {
    return {};
  }
  field.remove_prefix(kScheme.size());
  field.remove_prefix(std::min(field.find_first_not_of(' '), field.size()));
  return field;
}

bool IsLocalOrLiteralHost(std::string_view host) {
  if (host.empty() || host.front() == '[') return true;
  host = host.substr(0, host.rfind(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  constexpr std::string_view kLocal = "localhost";
  if (host.size() >= kLocal.size() &&
      EqualsLower(host.substr(host.size() - kLocal.size()), kLocal)) {
    return host.size() == kLocal.size() || host[host.size() - kLocal.size() - 1] == '.';
  }
  in_addr ignored = {};
  return ::inet_pton(AF_INET, std::string(host).c_str(), &ignored) == 1;
}

bool RefuseToken(const http::Request& request, http::Response& response, std::string_view token) {
  if (token.empty()) return false;
  const auto field = request.header("authorization");
  const std::string_view given = field ? BearerToken(*field) : std::string_view();
  if (SameToken(given, token)) return false;
  // RFC 6750 §3.1: no error code for a request that did not try.
  response.Header("WWW-Authenticate", given.empty()
                                          ? R"(Bearer realm="admin")"
                                          : R"(Bearer realm="admin", error="invalid_token")");
  response.Error(401, given.empty() ? "the admin token is missing: Authorization: Bearer TOKEN\n"
                                    : "this is not the admin token\n");
  return true;
}

bool RefuseHost(const http::Request& request, http::Response& response, std::string_view address) {
  if (!IsOfThisMachine(address) || IsLocalOrLiteralHost(request.host())) return false;
  response.Error(421, "no host of this name is served here; use localhost\n");
  return true;
}

}  // namespace ringmaster::web
