#include "tests/e2e/programs/steady/answer.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

namespace steady {
namespace {

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// "close" among the options of a Connection field.
bool ListsClose(std::string_view list) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (EqualsIgnoringCase(Trim(list.substr(0, comma)), "close")) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

template <typename Number>
std::optional<Number> ReadNumber(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool ReadStatusLine(std::string_view line, int& status) {
  if (line.size() < 12 || !line.starts_with("HTTP/1.1 ")) return false;
  const auto number = ReadNumber<int>(line.substr(9, 3));
  if (!number || *number < 100 || (line.size() > 12 && line[12] != ' ')) return false;
  status = *number;
  return true;
}

// The fields of `head`, behind the status line. False for what is none.
bool ReadFields(std::string_view head, std::string_view generation_field, Answer& answer,
                std::optional<uint64_t>& content_length) {
  while (!head.empty()) {
    const size_t end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end + 2);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return false;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = Trim(line.substr(colon + 1));
    if (EqualsIgnoringCase(name, "content-length")) {
      const auto length = ReadNumber<uint64_t>(value);
      if (!length || (content_length && *content_length != *length)) return false;
      content_length = length;
    } else if (EqualsIgnoringCase(name, "connection")) {
      answer.says_close |= ListsClose(value);
    } else if (EqualsIgnoringCase(name, "sec-websocket-accept")) {
      answer.websocket_accept = value;
    }
    if (!generation_field.empty() && EqualsIgnoringCase(name, generation_field)) {
      answer.generation = value;
      answer.has_generation = true;
    }
  }
  return true;
}

}  // namespace

AnswerState ParseAnswer(std::string_view bytes, std::string_view generation_field, Answer& answer) {
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  size_t interim_bytes = 0;
  while (true) {
    const std::string_view rest = bytes.substr(interim_bytes);
    const size_t shared = std::min(rest.size(), kVersion.size());
    if (rest.substr(0, shared) != kVersion.substr(0, shared)) return AnswerState::kMalformed;
    const size_t head_end = rest.find("\r\n\r\n");
    if (head_end == std::string_view::npos) return AnswerState::kIncomplete;
    const std::string_view head = rest.substr(0, head_end + 2);
    answer = {};
    std::optional<uint64_t> content_length;
    const size_t line_end = head.find("\r\n");
    if (!ReadStatusLine(head.substr(0, line_end), answer.status) ||
        !ReadFields(head.substr(line_end + 2), generation_field, answer, content_length)) {
      return AnswerState::kMalformed;
    }
    const size_t head_bytes = interim_bytes + head_end + 4;
    if (answer.status >= 100 && answer.status < 200 && answer.status != 101) {
      interim_bytes = head_bytes;
      continue;
    }
    if (answer.status == 101) content_length = 0;
    if (!content_length) return AnswerState::kMalformed;
    if (bytes.size() - head_bytes < *content_length) return AnswerState::kIncomplete;
    answer.body = bytes.substr(head_bytes, *content_length);
    answer.bytes = head_bytes + *content_length;
    return AnswerState::kWhole;
  }
}

}  // namespace steady
