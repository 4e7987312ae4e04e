#include "engine/config/json_value.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "engine/base/check.h"
#include "engine/config/json_syntax.h"

namespace ringmaster::config {
namespace {

// Walks the text beside simdjson's tree. The text is known to be valid, so the walk only has to
// know where a token ends, never whether it is right.
class PositionScanner {
 public:
  explicit PositionScanner(std::string_view text) : text_(text) {}

  void Build(simdjson::dom::element element, JsonValue& out) {
    SkipSpace();
    const size_t begin = offset_;
    out.position = Here();
    std::string_view string;
    switch (element.type()) {
      case simdjson::dom::element_type::ARRAY:
        BuildArray(element, out);
        break;
      case simdjson::dom::element_type::OBJECT:
        BuildObject(element, out);
        break;
      case simdjson::dom::element_type::STRING:
        out.kind = JsonValue::Kind::kString;
        CHECK(element.get_string().get(string) == simdjson::SUCCESS);
        out.string = string;
        SkipString();
        break;
      case simdjson::dom::element_type::INT64:
        out.kind = JsonValue::Kind::kInteger;
        CHECK(element.get_int64().get(out.integer) == simdjson::SUCCESS);
        SkipBareToken();
        break;
      case simdjson::dom::element_type::UINT64:
      case simdjson::dom::element_type::DOUBLE:
        out.kind = JsonValue::Kind::kNumber;
        SkipBareToken();
        break;
      case simdjson::dom::element_type::BOOL:
        out.kind = JsonValue::Kind::kBoolean;
        CHECK(element.get_bool().get(out.boolean) == simdjson::SUCCESS);
        SkipBareToken();
        break;
      case simdjson::dom::element_type::NULL_VALUE:
        out.kind = JsonValue::Kind::kNull;
        SkipBareToken();
        break;
    }
    out.raw = text_.substr(begin, offset_ - begin);
  }

 private:
  void BuildArray(simdjson::dom::element element, JsonValue& out) {
    out.kind = JsonValue::Kind::kArray;
    Take('[');
    simdjson::dom::array array;
    CHECK(element.get_array().get(array) == simdjson::SUCCESS);
    for (simdjson::dom::element item : array) {
      if (!out.items.empty()) SkipSpaceAndTake(',');
      Build(item, out.items.emplace_back());
    }
    SkipSpaceAndTake(']');
  }

  void BuildObject(simdjson::dom::element element, JsonValue& out) {
    out.kind = JsonValue::Kind::kObject;
    Take('{');
    simdjson::dom::object object;
    CHECK(element.get_object().get(object) == simdjson::SUCCESS);
    for (simdjson::dom::key_value_pair field : object) {
      if (!out.members.empty()) SkipSpaceAndTake(',');
      JsonMember& member = out.members.emplace_back();
      SkipSpace();
      member.key = std::string(field.key);
      member.key_position = Here();
      SkipString();
      SkipSpaceAndTake(':');
      Build(field.value, member.value);
    }
    SkipSpaceAndTake('}');
  }

  Position Here() const { return {line_, static_cast<uint32_t>(offset_ - line_begin_ + 1)}; }

  void SkipSpace() {
    while (offset_ < text_.size() && IsJsonSpace(text_[offset_])) {
      ++offset_;
      if (text_[offset_ - 1] == '\n') {
        ++line_;
        line_begin_ = offset_;
      }
    }
  }

  void SkipString() {
    Take('"');
    while (text_[offset_] != '"') offset_ += text_[offset_] == '\\' ? 2 : 1;
    Take('"');
  }

  void SkipBareToken() {
    while (offset_ < text_.size() && !IsJsonSpace(text_[offset_]) && text_[offset_] != ',' &&
           text_[offset_] != ']' && text_[offset_] != '}') {
      ++offset_;
    }
  }

  void SkipSpaceAndTake(char c) {
    SkipSpace();
    Take(c);
  }

  void Take(char c) {
    CHECK(offset_ < text_.size());
    CHECK(text_[offset_] == c);
    ++offset_;
  }

  std::string_view text_;
  size_t offset_ = 0;
  size_t line_begin_ = 0;
  uint32_t line_ = 1;
};

}  // namespace

JsonError ParseJson(std::string_view text, JsonValue& root) {
  if (text.size() > kJsonBytesMax) {
    return {{}, fmt::format("is {} bytes long; at most {} are read", text.size(), kJsonBytesMax)};
  }
  simdjson::dom::parser parser;
  simdjson::dom::element element;
  const simdjson::padded_string padded(text);
  simdjson::error_code error = parser.allocate(padded.size() + 1, kJsonDepthMax);
  if (error == simdjson::SUCCESS) error = parser.parse(padded).get(element);
  if (error != simdjson::SUCCESS) {
    JsonError located = FindJsonSyntaxError(text);
    if (!located.message.empty()) return located;
    return {{}, fmt::format("not valid JSON: {}", simdjson::error_message(error))};
  }
  PositionScanner(text).Build(element, root);
  return {};
}

}  // namespace ringmaster::config
