#include "protocols/websocket/codec/origin.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>

#include "protocols/websocket/codec/field_list.h"

namespace ringmaster::websocket {
namespace {

constexpr std::string_view kWildcardLabel = "*.";

bool IsAlpha(char c) { return ToLower(c) >= 'a' && ToLower(c) <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = ToLower(c);
  return lower;
}

bool IsScheme(std::string_view text) {
  if (text.empty() || !IsAlpha(text.front())) return false;
  for (const char c : text) {
    if (!IsAlpha(c) && !IsDigit(c) && c != '+' && c != '-' && c != '.') return false;
  }
  return true;
}

// A host name in its ASCII form (international names are punycode by then) or an IPv4 address. A
// dot at the very end makes another name of it, not a malformed one.
bool IsHostName(std::string_view text) {
  char last = '.';
  for (const char c : text) {
    if (!IsAlpha(c) && !IsDigit(c) && c != '-' && c != '_' && c != '.') return false;
    if (c == '.' && last == '.') return false;
    last = c;
  }
  return !text.empty();
}

// "[::1]" in its shortest form, or nullopt.
std::optional<std::string> CanonicalIpv6(std::string_view bracketed) {
  const std::string text(bracketed.substr(1, bracketed.size() - 2));
  in6_addr address;
  if (text.find('\0') != std::string::npos) return std::nullopt;
  if (inet_pton(AF_INET6, text.c_str(), &address) != 1) return std::nullopt;
  char shortest[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, &address, shortest, sizeof(shortest));
  return fmt::format("[{}]", shortest);
}

uint32_t DefaultPort(std::string_view scheme) {
  if (scheme == "http" || scheme == "ws") return 80;
  if (scheme == "https" || scheme == "wss") return 443;
  return 0;
}

// Digits without a leading zero, 1-65535; 0 when it is something else.
uint32_t ParsePort(std::string_view text) {
  uint32_t port = 0;
  if (text.empty() || text.front() == '0') return 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port > 65535) return 0;
  return port;
}

// host [":" port] in canonical form; `scheme` is lower case.
std::optional<std::string> CanonicalAuthority(std::string_view scheme, std::string_view text) {
  size_t host_bytes = text.find(':');
  std::string host;
  if (!text.empty() && text.front() == '[') {
    const size_t bracket = text.find(']');
    if (bracket == std::string_view::npos) return std::nullopt;
    host_bytes = bracket + 1 == text.size() ? std::string_view::npos : bracket + 1;
    auto address = CanonicalIpv6(text.substr(0, bracket + 1));
    if (!address) return std::nullopt;
    host = *std::move(address);
  } else {
    if (!IsHostName(text.substr(0, host_bytes))) return std::nullopt;
    host = Lower(text.substr(0, host_bytes));
  }
  if (host_bytes == std::string_view::npos) return host;
  if (text[host_bytes] != ':') return std::nullopt;
  const uint32_t port = ParsePort(text.substr(host_bytes + 1));
  if (port == 0) return std::nullopt;
  if (port == DefaultPort(scheme)) return host;
  return fmt::format("{}:{}", host, port);
}

absl::Status BadEntry(std::string_view entry, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format(
      "allowed_origins: \"{}\" {}; an entry is scheme://host or scheme://host:port, such as "
      "\"https://game.example\", or \"https://*.example.com\", \"null\" or \"*\"",
      entry, why));
}

// Why a mistake that people make does not work, or an empty text.
std::string_view CommonMistake(std::string_view entry) {
  const size_t scheme_end = entry.find("://");
  if (entry.empty()) return "is empty";
  if (scheme_end == std::string_view::npos) return "has no scheme";
  const std::string_view scheme = entry.substr(0, scheme_end);
  const std::string_view rest = entry.substr(scheme_end + 3);
  if (EqualsIgnoreCase(scheme, "ws") || EqualsIgnoreCase(scheme, "wss")) {
    return "has the scheme of the WebSocket, but an Origin has that of the page: http or https";
  }
  if (rest.find_first_of("/?#") != std::string_view::npos)
    return "has a path or a slash at its end";
  if (rest.find('@') != std::string_view::npos) return "has a user name";
  const std::string_view host = rest.substr(0, rest.find(':'));
  if (!host.empty() && host.back() == '.') return "has a dot at the end of its host";
  if (rest.find('*', rest.substr(0, 2) == kWildcardLabel ? 1 : 0) != std::string_view::npos) {
    return "has a * that does not stand for whole labels at the front of the host";
  }
  return "";
}

}  // namespace

std::string_view OriginVerdictName(OriginVerdict verdict) {
  static constexpr std::string_view kNames[kOriginVerdictCount] = {
      "allowed", "missing", "null", "not_listed", "malformed", "not_same_origin", "repeated"};
  return kNames[static_cast<size_t>(verdict)];
}

std::string_view OriginVerdictReason(OriginVerdict verdict) {
  static constexpr std::string_view kReasons[kOriginVerdictCount] = {
      "",
      "an Origin is required here",
      "the origin null is not allowed here",
      "this origin is not allowed here",
      "Origin is malformed",
      "only pages of the same origin may connect here",
      "Origin is repeated"};
  return kReasons[static_cast<size_t>(verdict)];
}

std::optional<std::string> CanonicalOrigin(std::string_view text) {
  const size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return std::nullopt;
  if (!IsScheme(text.substr(0, scheme_end))) return std::nullopt;
  const std::string scheme = Lower(text.substr(0, scheme_end));
  const auto authority = CanonicalAuthority(scheme, text.substr(scheme_end + 3));
  if (!authority) return std::nullopt;
  return fmt::format("{}://{}", scheme, *authority);
}

absl::StatusOr<OriginPolicy> OriginPolicy::FromEntries(std::span<const std::string> entries,
                                                       MissingOrigin missing,
                                                       SameOriginScheme scheme) {
  OriginPolicy policy;
  policy.missing_ = missing;
  policy.same_origin_scheme_ = scheme;
  for (const std::string& entry : entries) {
    absl::Status status = policy.AddEntry(entry);
    if (!status.ok()) return status;
  }
  policy.has_list_ = !entries.empty();
  return policy;
}

absl::StatusOr<OriginPolicy> OriginPolicy::FromEnvironmentOr(const char* environment,
                                                             std::span<const std::string> entries,
                                                             MissingOrigin missing,
                                                             SameOriginScheme scheme) {
  const std::string_view text = TrimBlanks(environment == nullptr ? "" : environment);
  if (text.empty()) return FromEntries(entries, missing, scheme);
  std::vector<std::string> from_environment;
  std::string_view rest = text;
  while (const auto entry = NextListElement(rest)) from_environment.emplace_back(*entry);
  // Only commas: something was meant, and "same origin" is not what it says.
  if (from_environment.empty()) from_environment.emplace_back(text);
  auto policy = FromEntries(from_environment, missing, scheme);
  if (policy.ok()) return policy;
  return absl::InvalidArgumentError(
      fmt::format("{}: {}", kAllowedOriginsVariable, std::string(policy.status().message())));
}

absl::Status OriginPolicy::AddEntry(std::string_view entry) {
  if (entry == "*") {
    allow_all_ = true;
    return absl::OkStatus();
  }
  if (entry == "null") {
    allow_null_ = true;
    return absl::OkStatus();
  }
  const std::string_view mistake = CommonMistake(entry);
  if (!mistake.empty()) return BadEntry(entry, mistake);
  const size_t host_at = entry.find("://") + 3;
  const bool wildcard = entry.substr(host_at, 2) == kWildcardLabel;
  // A wildcard is checked and normalised as the origin that it has without its first label.
  std::string plain(entry);
  if (wildcard) plain.erase(host_at, kWildcardLabel.size());
  auto canonical = CanonicalOrigin(plain);
  if (!canonical) return BadEntry(entry, "is not an origin");
  if (!wildcard) {
    exact_.insert(*std::move(canonical));
    return absl::OkStatus();
  }
  if (canonical->at(host_at) == '[') return BadEntry(entry, "has a * before an address");
  wildcards_.push_back({canonical->substr(0, host_at), "." + canonical->substr(host_at)});
  return absl::OkStatus();
}

OriginVerdict OriginPolicy::Check(const http::RequestHead& head) const {
  const FieldLines origin = FindFieldLines(head, "Origin");
  if (origin.count > 1) return OriginVerdict::kRepeated;
  if (origin.count == 1) return CheckOrigin(origin.first, head.host);
  const bool allow =
      missing_ == MissingOrigin::kDefault ? !has_list_ : missing_ == MissingOrigin::kAllow;
  return allow ? OriginVerdict::kAllowed : OriginVerdict::kMissing;
}

OriginVerdict OriginPolicy::CheckOrigin(std::string_view origin, std::string_view host) const {
  if (origin == "null") return allow_null_ ? OriginVerdict::kAllowed : OriginVerdict::kNull;
  const auto canonical = CanonicalOrigin(origin);
  if (!canonical) return OriginVerdict::kMalformed;
  if (!has_list_) {
    return IsSameOrigin(*canonical, host) ? OriginVerdict::kAllowed : OriginVerdict::kNotSameOrigin;
  }
  if (allow_all_ || exact_.contains(*canonical)) return OriginVerdict::kAllowed;
  for (const Wildcard& wildcard : wildcards_) {
    // The canonical form has no other "://" and no ':' but the port's outside brackets, so a prefix
    // and a suffix that begins with a dot compare scheme, whole labels and port. At least one label
    // is left between them.
    if (canonical->size() > wildcard.prefix.size() + wildcard.suffix.size() &&
        canonical->starts_with(wildcard.prefix) && canonical->ends_with(wildcard.suffix)) {
      return OriginVerdict::kAllowed;
    }
  }
  return OriginVerdict::kNotListed;
}

bool OriginPolicy::IsSameOrigin(std::string_view canonical, std::string_view host) const {
  const auto matches = [&](std::string_view scheme) {
    const auto authority = CanonicalAuthority(scheme, host);
    return authority && canonical == fmt::format("{}://{}", scheme, *authority);
  };
  switch (same_origin_scheme_) {
    case SameOriginScheme::kHttp:
      return matches("http");
    case SameOriginScheme::kHttps:
      return matches("https");
    case SameOriginScheme::kEither:
      return matches("http") || matches("https");
  }
  return false;
}

}  // namespace ringmaster::websocket
