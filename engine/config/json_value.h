#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// A JSON text as a tree that remembers where each value stood. simdjson decodes and validates; its
// own tree forgets positions, and an error without a line is half an error.

namespace ringmaster::config {

// Both count from 1; a column counts bytes. Line 0 = the text as a whole.
struct Position {
  uint32_t line = 0;
  uint32_t column = 0;
};

struct JsonMember;

struct JsonValue {
  // kNumber: a number that is no integer of 64 signed bits; its spelling is in `raw`.
  enum class Kind : uint8_t { kNull, kBoolean, kInteger, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  bool boolean = false;
  int64_t integer = 0;
  std::string string;            // decoded
  std::vector<JsonValue> items;  // of an array
  std::vector<JsonMember>
      members;  // of an object, in the order of the text, repeated keys included
  // As written, quotes and brackets included; points into the text that was parsed.
  std::string_view raw;
  Position position;
};

struct JsonMember {
  std::string key;
  Position key_position;
  JsonValue value;
};

struct JsonError {
  Position position;
  std::string message;  // empty = no error
};

inline constexpr size_t kJsonBytesMax = 1u << 20;  // ten thousand routes are below 1 MiB
inline constexpr int kJsonDepthMax = 32;           // a configuration needs 5

// Parses all of `text` into `root`, whose views point into `text`. The root may be any value. On
// error `root` is unspecified and the message says what was expected where.
JsonError ParseJson(std::string_view text, JsonValue& root);

}  // namespace ringmaster::config
