#include "engine/config/config_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "engine/config/config_reader.h"

namespace ringmaster::config {

std::string ConfigError::ToString(std::string_view file_name) const {
  std::string text(file_name);
  if (position.line > 0) text += fmt::format(":{}", position.line);
  if (path.empty()) {
    if (position.line > 0) text += fmt::format(":{}", position.column);
  } else {
    text += fmt::format(": {}", path);
  }
  return fmt::format("{}: {}", text, message);
}

ConfigDocument::ConfigDocument(std::string file_name, std::string text)
    : file_name_(std::move(file_name)), text_(std::move(text)) {
  JsonError error = ParseJson(text_, root_);
  if (error.message.empty()) {
    RefuseRepeatedKeys(root_, "");
    return;
  }
  root_ = JsonValue();
  root_.kind = JsonValue::Kind::kObject;
  AddError({error.position, "", std::move(error.message)});
}

ConfigValue ConfigDocument::root() { return ConfigValue(*this, root_, ""); }

void ConfigDocument::AddError(ConfigError error) {
  if (errors_.size() < kErrorsMax) errors_.push_back(std::move(error));
}

absl::Status ConfigDocument::status() const {
  if (ok()) return absl::OkStatus();
  // Checks across several keys come late; people read a file from its top.
  std::vector<const ConfigError*> sorted;
  for (const ConfigError& error : errors_) sorted.push_back(&error);
  std::stable_sort(sorted.begin(), sorted.end(), [](const ConfigError* a, const ConfigError* b) {
    return a->position.line < b->position.line;
  });
  std::string lines;
  for (const ConfigError* error : sorted) {
    if (!lines.empty()) lines += '\n';
    lines += error->ToString(file_name_);
  }
  return absl::InvalidArgumentError(lines);
}

void ConfigDocument::AddKnownKey(std::string_view path) {
  std::string pattern;
  bool in_index = false;
  for (char c : path) {
    if (c == ']') in_index = false;
    if (!in_index) pattern += c;
    if (c == '[') in_index = true;
  }
  known_keys_.insert(std::move(pattern));
}

void ConfigDocument::RefuseRepeatedKeys(const JsonValue& value, const std::string& path) {
  absl::flat_hash_map<std::string_view, Position> first;
  for (const JsonMember& member : value.members) {
    const std::string member_path = path.empty() ? member.key : path + "." + member.key;
    const auto [it, inserted] = first.try_emplace(member.key, member.key_position);
    if (!inserted) {
      AddError(
          {member.key_position, member_path,
           fmt::format("this key stands already in line {}; keep one of them", it->second.line)});
    }
    RefuseRepeatedKeys(member.value, member_path);
  }
  for (size_t i = 0; i < value.items.size(); ++i) {
    RefuseRepeatedKeys(value.items[i], fmt::format("{}[{}]", path, i));
  }
}

}  // namespace ringmaster::config
