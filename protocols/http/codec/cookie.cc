#include "protocols/http/codec/cookie.h"

#include "protocols/http/codec/characters.h"

namespace ringmaster::http {

std::optional<CookieIterator::Cookie> CookieIterator::Next() {
  while (!rest_.empty()) {
    const size_t semicolon = rest_.find(';');
    const std::string_view pair = rest_.substr(0, semicolon);
    rest_.remove_prefix(semicolon == std::string_view::npos ? rest_.size() : semicolon + 1);
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    Cookie cookie{TrimBlanks(pair.substr(0, equals)), TrimBlanks(pair.substr(equals + 1))};
    if (cookie.name.empty()) continue;
    if (cookie.value.size() >= 2 && cookie.value.front() == '"' && cookie.value.back() == '"') {
      cookie.value = cookie.value.substr(1, cookie.value.size() - 2);
    }
    return cookie;
  }
  return std::nullopt;
}

std::optional<std::string_view> FindCookie(std::string_view field_value, std::string_view name) {
  CookieIterator cookies(field_value);
  while (auto cookie = cookies.Next()) {
    if (cookie->name == name) return cookie->value;
  }
  return std::nullopt;
}

}  // namespace ringmaster::http
