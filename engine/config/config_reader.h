#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/time.h"
#include "engine/config/config_document.h"
#include "engine/connection/address.h"
#include "engine/limits/cidr_set.h"
#include "engine/limits/rate_limit.h"

// Typed access to a ConfigDocument. Every Read writes its argument only if the value is right, and
// otherwise leaves the default that stands there and adds an error to the document; so a caller
// reads straight through and asks document.status() once, at the end.

namespace ringmaster::config {

// One value of the document and its path. Valid as long as the document.
class ConfigValue {
 public:
  ConfigValue(ConfigDocument& document, const JsonValue& json, std::string path)
      : document_(&document), json_(&json), path_(std::move(path)) {}

  const JsonValue& json() const { return *json_; }
  const std::string& path() const { return path_; }
  ConfigDocument& document() const { return *document_; }
  bool is_string() const { return json_->kind == JsonValue::Kind::kString; }

  // All return false after they added an error.
  bool Read(bool& out) const;
  template <std::integral T>
  requires(!std::same_as<T, bool>) bool Read(T& out, int64_t min = 0,
                                             int64_t max = DefaultMax<T>()) const {
    int64_t value = 0;
    if (!ReadInteger(value, min, max)) return false;
    out = static_cast<T>(value);
    return true;
  }
  // Not empty, no control characters.
  bool Read(std::string& out) const;
  bool ReadText(std::string& out) const;  // any string
  // A string with a unit (units.h); zero stands for off and is refused where `min` is above it.
  bool Read(Duration& out, Duration min = Duration::zero()) const;
  bool Read(Address& out) const;
  // An integer of bytes or a string with a unit.
  template <std::integral T>
  bool ReadBytes(T& out, uint64_t min, uint64_t max) const {
    uint64_t value = 0;
    if (!ReadByteSize(value, min, max)) return false;
    out = static_cast<T>(value);
    return true;
  }
  template <typename T>
  bool ReadChoice(T& out, std::span<const std::pair<std::string_view, T>> choices) const {
    std::vector<std::string_view> words;
    for (const auto& [word, value] : choices) words.push_back(word);
    const std::optional<size_t> index = ReadWord(words);
    if (index) out = choices[*index].second;
    return index.has_value();
  }
  bool Read(std::vector<std::string>& out) const;
  // "100/s burst 200" (units.h), or 0.
  bool Read(RateLimit& out) const;
  // An array of blocks of addresses (engine/limits/cidr_set.h).
  bool Read(CidrSet& out) const;

  // The elements; an error and none if this is no array.
  std::vector<ConfigValue> Items() const;

  // Adds an error at this value.
  void Fail(std::string message) const;
  // Adds `expected ..., got <what stands here>`; returns false.
  bool FailExpected(std::string_view expected) const;

 private:
  template <typename T>
  static constexpr int64_t DefaultMax() {
    return std::in_range<int64_t>(std::numeric_limits<T>::max())
               ? static_cast<int64_t>(std::numeric_limits<T>::max())
               : INT64_MAX;
  }
  bool ReadInteger(int64_t& out, int64_t min, int64_t max) const;
  bool ReadByteSize(uint64_t& out, uint64_t min, uint64_t max) const;
  std::optional<size_t> ReadWord(std::span<const std::string_view> words) const;

  ConfigDocument* document_;
  const JsonValue* json_;
  std::string path_;
};

// An object and the keys its reader knows: those it asked for. Finish refuses the others.
class ConfigObject {
 public:
  // Adds an error if `value` is no object; then every Get is empty.
  explicit ConfigObject(ConfigValue value);

  const ConfigValue& value() const { return value_; }
  const std::string& path() const { return value_.path(); }

  // The value of `key`, if it stands there; from now on the key is known. `key` must outlive the
  // object (it is a literal).
  std::optional<ConfigValue> Get(std::string_view key);

  // Reads `key` if it stands there: arguments as for ConfigValue::Read.
  template <typename T, typename... Bounds>
  bool Read(std::string_view key, T& out, Bounds... bounds) {
    const std::optional<ConfigValue> found = Get(key);
    return found && found->Read(out, bounds...);
  }
  template <std::integral T>
  bool ReadBytes(std::string_view key, T& out, uint64_t min, uint64_t max) {
    const std::optional<ConfigValue> found = Get(key);
    return found && found->ReadBytes(out, min, max);
  }
  template <typename T, size_t N>
  bool ReadChoice(std::string_view key, T& out,
                  const std::pair<std::string_view, T> (&choices)[N]) {
    const std::optional<ConfigValue> found = Get(key);
    return found && found->template ReadChoice<T>(out, choices);
  }

  // Adds an error at `key` if it stands there, else at the object.
  void Fail(std::string_view key, std::string message);

  // Adds an error for each key that was not asked for.
  void Finish();

 private:
  const JsonMember* Find(std::string_view key) const;

  ConfigValue value_;
  std::vector<std::string_view> known_;
};

}  // namespace ringmaster::config
