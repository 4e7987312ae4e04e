#include "protocols/http/codec/authority.h"

#include <arpa/inet.h>

#include <cstring>

#include "protocols/http/codec/characters.h"

namespace ringmaster::http {
namespace {

bool IsValidPort(std::string_view digits) {
  // `port = *DIGIT`: none at all is allowed. Zeros in front are too, but not without a bound.
  if (digits.size() > 8) return false;
  uint32_t port = 0;
  for (char c : digits) {
    if (!IsDigit(c)) return false;
    port = port * 10 + static_cast<uint32_t>(c - '0');
  }
  return port <= 65535;
}

bool IsValidIpv6(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN + 1];
  if (text.size() >= sizeof(terminated)) return false;
  memcpy(terminated, text.data(), text.size());
  terminated[text.size()] = '\0';
  // A NUL cannot be in here: field values and targets carry none.
  in6_addr address;
  return inet_pton(AF_INET6, terminated, &address) == 1;
}

}  // namespace

bool IsValidAuthority(std::string_view text) {
  if (text.empty()) return false;
  if (text.front() == '[') {
    const size_t bracket = text.find(']');
    if (bracket == std::string_view::npos || !IsValidIpv6(text.substr(1, bracket - 1)))
      return false;
    const std::string_view rest = text.substr(bracket + 1);
    return rest.empty() || (rest.front() == ':' && IsValidPort(rest.substr(1)));
  }
  size_t i = 0;
  while (i < text.size() && text[i] != ':') {
    if (text[i] == '%') {
      if (text.size() - i < 3 || !Is(kHexDigit, text[i + 1]) || !Is(kHexDigit, text[i + 2])) {
        return false;
      }
      i += 3;
    } else if (Is(kHostChar, text[i])) {
      i++;
    } else {
      return false;
    }
  }
  if (i == 0) return false;
  return i == text.size() || IsValidPort(text.substr(i + 1));
}

}  // namespace ringmaster::http
