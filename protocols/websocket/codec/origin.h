#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "protocols/http/codec/request_head.h"

// Who may open a WebSocket: browsers let any page connect anywhere, and only the server can tell
// its own pages from those of a stranger, by the Origin field (RFC 6455 section 10.2).

namespace ringmaster::websocket {

enum class OriginVerdict : uint8_t {
  kAllowed,
  kMissing,  // no Origin, and the policy asks for one
  kNull,     // "null" (sandboxed page, local file) and not listed
  kNotListed,
  kMalformed,      // not a serialised origin (RFC 6454 section 6.1)
  kNotSameOrigin,  // no list, and Origin and Host differ
  kRepeated,
};
inline constexpr int kOriginVerdictCount = 7;

// "not_listed", ...: the name used in counters and logs.
std::string_view OriginVerdictName(OriginVerdict verdict);
// A short sentence for the body of the 403.
std::string_view OriginVerdictReason(OriginVerdict verdict);

// What a request without Origin means: not a browser. kDefault denies where a list is set (its
// author thought about who may connect) and allows where none is (programs are not what same-origin
// protects from).
enum class MissingOrigin : uint8_t { kDefault, kAllow, kDeny };

// With which scheme a page of the same origin was loaded. A listener without TLS serves http pages;
// behind a proxy that ends TLS the browser saw https.
enum class SameOriginScheme : uint8_t { kHttp, kHttps, kEither };

// One origin as (scheme, host, port), compared in its canonical form: lower case, default port
// removed, IPv6 shortened. nullopt when `text` is not exactly scheme "://" host [":" port].
std::optional<std::string> CanonicalOrigin(std::string_view text);

// Example:
//   ASSIGN_OR_RETURN(auto policy, OriginPolicy::FromEntries({"https://game.example"}));
//   if (policy.Check(head) != OriginVerdict::kAllowed) ...
class OriginPolicy {
 public:
  // No list: same origin only.
  OriginPolicy() = default;

  // Entries: an exact origin ("https://game.example", "http://[::1]:8080"); "https://*.example.com"
  // for every host below example.com, at any depth, but not example.com itself; "null"; "*" for
  // every origin except null. No entry = same origin only. Errors: kInvalidArgument, naming the
  // entry and what would be right.
  static absl::StatusOr<OriginPolicy> FromEntries(
      std::span<const std::string> entries, MissingOrigin missing = MissingOrigin::kDefault,
      SameOriginScheme scheme = SameOriginScheme::kHttp);

  // The same, but `environment`, the value of RINGMASTER_ALLOWED_ORIGINS (entries separated by
  // commas), takes the place of `entries` if it is set and not blank. nullptr = not set.
  static absl::StatusOr<OriginPolicy> FromEnvironmentOr(
      const char* environment, std::span<const std::string> entries,
      MissingOrigin missing = MissingOrigin::kDefault,
      SameOriginScheme scheme = SameOriginScheme::kHttp);

  OriginVerdict Check(const http::RequestHead& head) const;
  // `origin` is the field's value; `host` that of Host.
  OriginVerdict CheckOrigin(std::string_view origin, std::string_view host) const;

 private:
  // "https://*.example.com:8443": the host must end in ".example.com" with something before it.
  struct Wildcard {
    std::string prefix;  // "https://"
    std::string suffix;  // ".example.com:8443"
  };

  absl::Status AddEntry(std::string_view entry);
  bool IsSameOrigin(std::string_view canonical, std::string_view host) const;

  absl::flat_hash_set<std::string> exact_;
  std::vector<Wildcard> wildcards_;
  bool has_list_ = false;
  bool allow_all_ = false;
  bool allow_null_ = false;
  MissingOrigin missing_ = MissingOrigin::kDefault;
  SameOriginScheme same_origin_scheme_ = SameOriginScheme::kHttp;
};

inline constexpr const char* kAllowedOriginsVariable = "RINGMASTER_ALLOWED_ORIGINS";

}  // namespace ringmaster::websocket
