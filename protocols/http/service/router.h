#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "protocols/http/service/method.h"
#include "protocols/http/service/route.h"
#include "protocols/http/service/upgrade.h"

namespace ringmaster::http {

// All that one path, or one pattern, can do.
struct PathEntry {
  std::string path;  // of an exact entry; empty for a pattern's
  std::unique_ptr<Route> by_method[kMethodCount];
  std::unique_ptr<Route> any;
  UpgradeRoute* upgrade = nullptr;
  std::string allow;  // "GET, HEAD, OPTIONS": for 405 and OPTIONS

  // nullptr: 405. HEAD falls back to GET. TRACE and CONNECT never fall back to `any`: echoing a
  // request's fields or opening a tunnel must be meant.
  Route* Find(Method method) const {
    Route* route = by_method[static_cast<int>(method)].get();
    if (route == nullptr && method == Method::kHead) route = by_method[0].get();
    if (route == nullptr && method != Method::kTrace && method != Method::kConnect)
      route = any.get();
    return route;
  }
};

// The values of a pattern's parameters: views into the decoded path.
struct PathParameters {
  static constexpr int kMax = 8;
  struct Parameter {
    std::string_view name;
    std::string_view value;
  };
  int count = 0;
  std::array<Parameter, kMax> values;
};

// Paths and patterns to entries. A path without parameters is found by one hash look-up; only when
// there is none are the patterns tried, the most specific first.
//
//   "/users/list"          exactly this
//   "/users/:id/photo"     ":id" is one segment, not empty
//   "/files/*rest"         everything below "/files/", the empty rest included; only at the end
class Router {
 public:
  // The entry to fill. Errors: kInvalidArgument (no leading slash, empty or repeated name, more
  // than PathParameters::kMax names, '*' not at the end, a path that no request can have).
  absl::StatusOr<PathEntry*> Entry(std::string_view pattern);

  // Recomputes entry.allow after a route was added.
  static void UpdateAllow(PathEntry& entry);

  // `path` is decoded. The exact look-up alone may be tried with the raw path first: an entry's
  // path has no escapes and no dot segments, so whatever equals it is decoded already.
  PathEntry* FindExact(std::string_view path) const {
    // Most requests of a busy server are for few paths: comparing with the last path of that length
    // costs a quarter of hashing this one (bench/protocols).
    PathEntry*& recent = recent_[path.size() % kRecentCount];
    if (recent != nullptr && recent->path == path) return recent;
    const auto it = exact_.find(absl::string_view(path.data(), path.size()));
    if (it == exact_.end()) return nullptr;
    recent = it->second.get();
    return recent;
  }
  PathEntry* FindPattern(std::string_view path, PathParameters& parameters) const;
  // Of a pattern as it was given to Entry; nullptr: there is none.
  PathEntry* FindEntry(std::string_view pattern) const;

 private:
  struct Segment {
    enum class Kind : uint8_t { kLiteral, kParameter, kRest } kind;
    std::string text;  // the literal, or the parameter's name
  };
  struct Pattern {
    std::string text;
    std::vector<Segment> segments;
    std::unique_ptr<PathEntry> entry;
  };

  static bool Matches(const Pattern& pattern, std::string_view path, PathParameters& parameters);
  static bool IsMoreSpecific(const Pattern& a, const Pattern& b);

  static constexpr size_t kRecentCount = 16;

  absl::flat_hash_map<std::string, std::unique_ptr<PathEntry>> exact_;
  mutable PathEntry* recent_[kRecentCount] = {};  // entries are never removed
  std::vector<Pattern> patterns_;
};

}  // namespace ringmaster::http
