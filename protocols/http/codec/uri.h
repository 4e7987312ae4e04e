#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ringmaster::http {

// Decodes %XX. nullopt: an escape that is not two hexadecimal digits.
std::optional<std::string> PercentDecode(std::string_view text);

// The path of a request as handlers see it: decoded, dot segments resolved (RFC 3986
// section 5.2.4). The result begins with '/' and has no "." or ".." segment, so that it can never
// leave its root; ".." above the root stays at the root. Dot segments are looked for after
// decoding, for "%2e%2e" means them too. nullopt: a bad escape, a NUL (%00), or an escaped slash or
// backslash (%2F, %5C), which would make the path mean one thing here and another to a proxy or a
// file system.
//
// Appends to nothing: `out` is replaced; keeps its capacity.
bool DecodePath(std::string_view path, std::string& out);

// True when DecodePath would give `path` back as it is: the usual case, found without copying.
bool IsPlainPath(std::string_view path);

// Walks "a=1&b=2". Names and values are views, still encoded: DecodeFormValue reads them.
class QueryIterator {
 public:
  explicit QueryIterator(std::string_view query) : rest_(query) {}

  struct Parameter {
    std::string_view name;
    std::string_view value;  // empty without '='
  };
  std::optional<Parameter> Next();

 private:
  std::string_view rest_;
};

// Decodes one name or value of a query: %XX, and '+' is a blank. nullopt: a bad escape.
std::optional<std::string> DecodeFormValue(std::string_view text);

// The value of the first parameter called `name` (after decoding), decoded. nullopt: absent, or a
// bad escape.
std::optional<std::string> FindQueryParameter(std::string_view query, std::string_view name);

}  // namespace ringmaster::http
