#include "engine/config/config_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/config/spelling.h"
#include "engine/config/units.h"

namespace ringmaster::config {
namespace {

// More than this of a wrong value tells nobody anything.
constexpr size_t kQuotedBytesMax = 60;

std::string Got(const JsonValue& json) {
  switch (json.kind) {
    case JsonValue::Kind::kNull:
      return "null (leave the key out for its default)";
    case JsonValue::Kind::kArray:
      return "an array";
    case JsonValue::Kind::kObject:
      return "an object";
    default:
      break;
  }
  if (json.raw.size() <= kQuotedBytesMax) return std::string(json.raw);
  size_t end = kQuotedBytesMax;
  while ((static_cast<unsigned char>(json.raw[end]) & 0xc0) == 0x80) --end;  // whole characters
  return std::string(json.raw.substr(0, end)) + "…";
}

bool HasControlCharacter(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// The duration that a number without a unit, or with a space or an English unit, was meant to be.
std::string DurationHint(const JsonValue& json) {
  if (json.kind == JsonValue::Kind::kInteger && json.integer >= 0) {
    if (json.integer == 0) return "; write \"0s\" to turn it off";
    return fmt::format("; write \"{0}s\" or \"{0}ms\"", json.integer);
  }
  if (json.kind != JsonValue::Kind::kString) return "";
  const std::string& text = json.string;
  if (!text.empty() && text.size() < 12 &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return fmt::format("; write \"{0}s\" or \"{0}ms\"", text);
  }
  return "; units are \"us\", \"ms\", \"s\", \"m\" and \"h\", on a whole number";
}

}  // namespace

bool ConfigValue::Read(bool& out) const {
  if (json_->kind != JsonValue::Kind::kBoolean) return FailExpected("true or false");
  out = json_->boolean;
  return true;
}

bool ConfigValue::ReadInteger(int64_t& out, int64_t min, int64_t max) const {
  if (json_->kind != JsonValue::Kind::kInteger || json_->integer < min || json_->integer > max) {
    return FailExpected(fmt::format("an integer from {} to {}", min, max));
  }
  out = json_->integer;
  return true;
}

bool ConfigValue::Read(std::string& out) const {
  if (!is_string() || json_->string.empty()) return FailExpected("a string that is not empty");
  if (HasControlCharacter(json_->string)) {
    return FailExpected("a string without control characters");
  }
  out = json_->string;
  return true;
}

bool ConfigValue::ReadText(std::string& out) const {
  if (!is_string()) return FailExpected("a string");
  out = json_->string;
  return true;
}

bool ConfigValue::Read(Duration& out, Duration min) const {
  const std::optional<Duration> duration =
      is_string() ? ParseDuration(json_->string) : std::optional<Duration>();
  if (!duration) {
    Fail(fmt::format("expected a duration such as \"75s\", got {}{}", Got(*json_),
                     DurationHint(*json_)));
    return false;
  }
  if (*duration < min) {
    return FailExpected(fmt::format("a duration of at least \"{}\"", FormatDuration(min)));
  }
  out = *duration;
  return true;
}

bool ConfigValue::ReadByteSize(uint64_t& out, uint64_t min, uint64_t max) const {
  std::optional<uint64_t> bytes;
  if (json_->kind == JsonValue::Kind::kInteger && json_->integer >= 0) {
    bytes = static_cast<uint64_t>(json_->integer);
  } else if (is_string()) {
    bytes = ParseByteSize(json_->string);
  }
  if (!bytes) {
    return FailExpected("a size such as \"16KiB\", \"1MiB\" or a whole number of bytes");
  }
  if (*bytes < min || *bytes > max) {
    return FailExpected(
        fmt::format("a size from \"{}\" to \"{}\"", FormatByteSize(min), FormatByteSize(max)));
  }
  out = *bytes;
  return true;
}

bool ConfigValue::Read(Address& out) const {
  if (!is_string()) {
    return FailExpected(
        "an address such as \"0.0.0.0:8080\", \"[::1]:8080\" or \"unix:/run/x.sock\"");
  }
  absl::StatusOr<Address> address = Address::Parse(json_->string);
  if (!address.ok()) {
    Fail(std::string(address.status().message()));
    return false;
  }
  out = *address;
  return true;
}

std::optional<size_t> ConfigValue::ReadWord(std::span<const std::string_view> words) const {
  if (is_string()) {
    const auto found = std::find(words.begin(), words.end(), json_->string);
    if (found != words.end()) return static_cast<size_t>(found - words.begin());
  }
  FailExpected(ListWords(words));
  return std::nullopt;
}

bool ConfigValue::Read(std::vector<std::string>& out) const {
  std::vector<std::string> strings;
  bool good = json_->kind == JsonValue::Kind::kArray;
  for (const ConfigValue& item : Items()) good &= item.Read(strings.emplace_back());
  if (good) out = std::move(strings);
  return good;
}

bool ConfigValue::Read(RateLimit& out) const {
  std::optional<RateLimit> rate;
  if (json_->kind == JsonValue::Kind::kInteger && json_->integer == 0) {
    rate = RateLimit();
  } else if (is_string()) {
    rate = ParseRate(json_->string);
  }
  if (!rate) {
    return FailExpected(
        "a rate such as \"100/s\", \"30/m\" or \"100/s burst 200\", or 0 for no limit");
  }
  out = *rate;
  return true;
}

bool ConfigValue::Read(CidrSet& out) const {
  CidrSet set;
  bool good = json_->kind == JsonValue::Kind::kArray;
  for (const ConfigValue& item : Items()) {
    std::string block;
    if (!item.Read(block)) {
      good = false;
    } else if (const absl::Status status = set.Add(block); !status.ok()) {
      item.Fail(std::string(status.message()));
      good = false;
    }
  }
  if (good) out = std::move(set);
  return good;
}

std::vector<ConfigValue> ConfigValue::Items() const {
  std::vector<ConfigValue> items;
  if (json_->kind != JsonValue::Kind::kArray) {
    FailExpected("an array");
    return items;
  }
  for (size_t i = 0; i < json_->items.size(); ++i) {
    items.emplace_back(*document_, json_->items[i], fmt::format("{}[{}]", path_, i));
  }
  return items;
}

void ConfigValue::Fail(std::string message) const {
  document_->AddError({json_->position, path_, std::move(message)});
}

bool ConfigValue::FailExpected(std::string_view expected) const {
  Fail(fmt::format("expected {}, got {}", expected, Got(*json_)));
  return false;
}

ConfigObject::ConfigObject(ConfigValue value) : value_(std::move(value)) {
  if (value_.json().kind != JsonValue::Kind::kObject) value_.FailExpected("an object");
}

const JsonMember* ConfigObject::Find(std::string_view key) const {
  for (const JsonMember& member : value_.json().members) {
    if (member.key == key) return &member;
  }
  return nullptr;
}

std::optional<ConfigValue> ConfigObject::Get(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.push_back(key);
  std::string path =
      this->path().empty() ? std::string(key) : fmt::format("{}.{}", this->path(), key);
  value_.document().AddKnownKey(path);
  const JsonMember* const member = Find(key);
  if (member == nullptr) return std::nullopt;
  return ConfigValue(value_.document(), member->value, std::move(path));
}

void ConfigObject::Fail(std::string_view key, std::string message) {
  const JsonMember* const member = Find(key);
  const std::string path =
      this->path().empty() ? std::string(key) : fmt::format("{}.{}", this->path(), key);
  value_.document().AddError({member != nullptr ? member->value.position : value_.json().position,
                              path, std::move(message)});
}

void ConfigObject::Finish() {
  for (const JsonMember& member : value_.json().members) {
    if (std::find(known_.begin(), known_.end(), member.key) != known_.end()) continue;
    const std::string_view nearest = NearestWord(member.key, known_);
    const std::string path =
        this->path().empty() ? member.key : fmt::format("{}.{}", this->path(), member.key);
    value_.document().AddError({member.key_position, path,
                                nearest.empty()
                                    ? fmt::format("unknown key; known here: {}", ListWords(known_))
                                    : fmt::format("unknown key; did you mean \"{}\"?", nearest)});
  }
}

}  // namespace ringmaster::config
