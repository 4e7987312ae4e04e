#pragma once

#include <optional>
#include <string_view>

namespace ringmaster::http {

// Walks the pairs of a Cookie field (RFC 6265 section 4.2.1), leniently as section 5.4 makes user
// agents send them: pairs without '=' and empty names are skipped, quotes around a value are
// removed.
class CookieIterator {
 public:
  explicit CookieIterator(std::string_view field_value) : rest_(field_value) {}

  struct Cookie {
    std::string_view name;
    std::string_view value;
  };
  std::optional<Cookie> Next();

 private:
  std::string_view rest_;
};

std::optional<std::string_view> FindCookie(std::string_view field_value, std::string_view name);

}  // namespace ringmaster::http
