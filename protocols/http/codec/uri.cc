#include "protocols/http/codec/uri.h"

#include "protocols/http/codec/characters.h"

namespace ringmaster::http {
namespace {

// The byte that the escape at `text[i]` means, or -1.
int EscapedByte(std::string_view text, size_t i) {
  if (text.size() - i < 3) return -1;
  const int high = HexValue(text[i + 1]);
  const int low = HexValue(text[i + 2]);
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

std::optional<std::string> Decode(std::string_view text, bool plus_is_blank) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '%') {
      const int byte = EscapedByte(text, i);
      if (byte < 0) return std::nullopt;
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += plus_is_blank && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

// Removes the last segment of "/a/b/" or "/a/b", the slash in front of it kept.
void RemoveLastSegment(std::string& path) {
  if (path.size() > 1 && path.back() == '/') path.pop_back();
  path.resize(path.rfind('/') + 1);
}

// Called at the end of each segment; `path` ends with the segment, no slash behind it.
void ResolveDots(std::string& path) {
  const size_t begin = path.rfind('/') + 1;
  const std::string_view segment = std::string_view(path).substr(begin);
  if (segment == ".") {
    path.resize(begin);
  } else if (segment == "..") {
    path.resize(begin);
    RemoveLastSegment(path);
  }
}

}  // namespace

std::optional<std::string> PercentDecode(std::string_view text) { return Decode(text, false); }
std::optional<std::string> DecodeFormValue(std::string_view text) { return Decode(text, true); }

bool IsPlainPath(std::string_view path) {
  if (path.empty() || path.front() != '/') return false;
  for (size_t i = 0; i < path.size(); i++) {
    if (path[i] == '%' || path[i] == '\0') return false;
    // A segment that begins with a dot might be a dot segment; DecodePath knows.
    if (path[i] == '.' && path[i - 1] == '/') return false;
  }
  return true;
}

bool DecodePath(std::string_view path, std::string& out) {
  out.clear();
  if (path.empty() || path.front() != '/') return false;
  for (size_t i = 0; i < path.size(); i++) {
    if (path[i] == '/') {
      ResolveDots(out);
      // A dot segment left its slash behind.
      if (out.empty() || i == 0 || out.back() != '/' || path[i - 1] == '/') out += '/';
      continue;
    }
    if (path[i] != '%') {
      out += path[i];
      continue;
    }
    const int byte = EscapedByte(path, i);
    if (byte <= 0 || byte == '/' || byte == '\\') return false;
    out += static_cast<char>(byte);
    i += 2;
  }
  ResolveDots(out);
  return true;
}

std::optional<QueryIterator::Parameter> QueryIterator::Next() {
  while (!rest_.empty()) {
    const size_t ampersand = rest_.find('&');
    const std::string_view pair = rest_.substr(0, ampersand);
    rest_.remove_prefix(ampersand == std::string_view::npos ? rest_.size() : ampersand + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) return Parameter{pair, {}};
    return Parameter{pair.substr(0, equals), pair.substr(equals + 1)};
  }
  return std::nullopt;
}

std::optional<std::string> FindQueryParameter(std::string_view query, std::string_view name) {
  QueryIterator parameters(query);
  while (auto parameter = parameters.Next()) {
    if (DecodeFormValue(parameter->name) == name) return DecodeFormValue(parameter->value);
  }
  return std::nullopt;
}

}  // namespace ringmaster::http
