#pragma once

#include <optional>
#include <string_view>

#include "protocols/http/codec/request_head.h"

// Fields whose value is a comma-separated list (RFC 9110 section 5.6.1), possibly over several
// lines.

namespace ringmaster::websocket {

// RFC 9110 section 5.6.2.
constexpr bool IsTokenChar(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

constexpr bool IsToken(std::string_view text) {
  for (const char c : text) {
    if (!IsTokenChar(c)) return false;
  }
  return !text.empty();
}

constexpr char ToLower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (ToLower(a[i]) != ToLower(b[i])) return false;
  }
  return true;
}

constexpr std::string_view TrimBlanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Takes the next element off the front of `list`; empty elements are skipped, as a recipient must.
// nullopt at the end. Not for lists whose elements may hold quoted commas.
constexpr std::optional<std::string_view> NextListElement(std::string_view& list) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view element = TrimBlanks(list.substr(0, comma));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (!element.empty()) return element;
  }
  return std::nullopt;
}

// All fields of one name, in order.
struct FieldLines {
  uint32_t count = 0;
  std::string_view first;  // valid when count > 0
};

inline FieldLines FindFieldLines(const http::RequestHead& head, std::string_view name) {
  FieldLines lines;
  for (uint32_t i = 0; i < head.field_count; ++i) {
    if (!EqualsIgnoreCase(head.fields[i].name, name)) continue;
    if (lines.count++ == 0) lines.first = head.fields[i].value;
  }
  return lines;
}

// Whether any line of the list field `name` has the element `wanted`, in any case.
inline bool ListFieldHas(const http::RequestHead& head, std::string_view name,
                         std::string_view wanted) {
  for (uint32_t i = 0; i < head.field_count; ++i) {
    if (!EqualsIgnoreCase(head.fields[i].name, name)) continue;
    std::string_view list = head.fields[i].value;
    while (const auto element = NextListElement(list)) {
      if (EqualsIgnoreCase(*element, wanted)) return true;
    }
  }
  return false;
}

}  // namespace ringmaster::websocket
