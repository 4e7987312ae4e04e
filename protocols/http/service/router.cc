#include "protocols/http/service/router.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocols/http/codec/uri.h"

namespace ringmaster::http {

absl::StatusOr<PathEntry*> Router::Entry(std::string_view pattern) {
  if (pattern.empty() || pattern.front() != '/') {
    return absl::InvalidArgumentError(
        fmt::format("route \"{}\" must begin with '/', like \"/users/:id\"", pattern));
  }
  Pattern parsed;
  parsed.text = pattern;
  std::vector<std::string_view> names;
  std::string_view rest = pattern.substr(1);
  for (;;) {
    const size_t slash = rest.find('/');
    const std::string_view segment = rest.substr(0, slash);
    Segment::Kind kind = Segment::Kind::kLiteral;
    if (!segment.empty() && segment.front() == ':') kind = Segment::Kind::kParameter;
    if (!segment.empty() && segment.front() == '*') kind = Segment::Kind::kRest;
    const std::string_view name = segment.substr(kind == Segment::Kind::kLiteral ? 0 : 1);
    if (kind == Segment::Kind::kParameter && name.empty()) {
      return absl::InvalidArgumentError(
          fmt::format("route \"{}\": a parameter needs a name", pattern));
    }
    if (kind == Segment::Kind::kRest && slash != std::string_view::npos) {
      return absl::InvalidArgumentError(fmt::format("route \"{}\": '*' must come last", pattern));
    }
    if (kind != Segment::Kind::kLiteral) {
      if (std::find(names.begin(), names.end(), name) != names.end()) {
        return absl::InvalidArgumentError(fmt::format("route \"{}\": \"{}\" twice", pattern, name));
      }
      names.push_back(name);
    }
    parsed.segments.push_back({kind, std::string(name)});
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (names.size() > PathParameters::kMax) {
    return absl::InvalidArgumentError(
        fmt::format("route \"{}\": at most {} parameters", pattern, PathParameters::kMax));
  }
  if (names.empty()) {
    std::string decoded;
    if (!DecodePath(pattern, decoded) || decoded != pattern) {
      return absl::InvalidArgumentError(fmt::format(
          "route \"{}\" can match no request: write it decoded, without dot segments", pattern));
    }
    std::unique_ptr<PathEntry>& entry = exact_[std::string(pattern)];
    if (entry == nullptr) entry = std::make_unique<PathEntry>();
    entry->path = pattern;
    return entry.get();
  }
  for (Pattern& known : patterns_) {
    if (known.text == pattern) return known.entry.get();
  }
  parsed.entry = std::make_unique<PathEntry>();
  PathEntry* const entry = parsed.entry.get();
  const auto place = std::upper_bound(patterns_.begin(), patterns_.end(), parsed, IsMoreSpecific);
  patterns_.insert(place, std::move(parsed));
  return entry;
}

// Segment by segment: a literal before a parameter before the rest.
bool Router::IsMoreSpecific(const Pattern& a, const Pattern& b) {
  const size_t common = std::min(a.segments.size(), b.segments.size());
  for (size_t i = 0; i < common; i++) {
    if (a.segments[i].kind != b.segments[i].kind) return a.segments[i].kind < b.segments[i].kind;
  }
  return a.segments.size() > b.segments.size();
}

bool Router::Matches(const Pattern& pattern, std::string_view path, PathParameters& parameters) {
  parameters.count = 0;
  std::string_view rest = path.substr(1);
  for (size_t i = 0; i < pattern.segments.size(); i++) {
    const Segment& segment = pattern.segments[i];
    const bool last = i + 1 == pattern.segments.size();
    const size_t slash = rest.find('/');
    const std::string_view text =
        segment.kind == Segment::Kind::kRest ? rest : rest.substr(0, slash);
    if (segment.kind == Segment::Kind::kLiteral) {
      if (text != segment.text) return false;
    } else {
      if (segment.kind == Segment::Kind::kParameter && text.empty()) return false;
      parameters.values[static_cast<size_t>(parameters.count++)] = {segment.text, text};
    }
    if (segment.kind == Segment::Kind::kRest) return true;
    if (last) return slash == std::string_view::npos;
    if (slash == std::string_view::npos) return false;
    rest.remove_prefix(slash + 1);
  }
  return false;
}

PathEntry* Router::FindPattern(std::string_view path, PathParameters& parameters) const {
  if (path.empty() || path.front() != '/') return nullptr;
  for (const Pattern& pattern : patterns_) {
    if (Matches(pattern, path, parameters)) return pattern.entry.get();
  }
  parameters.count = 0;
  return nullptr;
}

PathEntry* Router::FindEntry(std::string_view pattern) const {
  if (PathEntry* const exact = FindExact(pattern)) return exact;
  for (const Pattern& known : patterns_) {
    if (known.text == pattern) return known.entry.get();
  }
  return nullptr;
}

void Router::UpdateAllow(PathEntry& entry) {
  entry.allow.clear();
  const auto add = [&entry](std::string_view name) {
    if (!entry.allow.empty()) entry.allow += ", ";
    entry.allow += name;
  };
  for (int i = 0; i < kMethodCount - 1; i++) {
    const Method method = static_cast<Method>(i);
    const bool upgrade_get = method == Method::kGet && entry.upgrade != nullptr;
    if (method == Method::kOptions || upgrade_get || entry.Find(method) != nullptr) {
      add(MethodName(method));
    }
  }
}

}  // namespace ringmaster::http
