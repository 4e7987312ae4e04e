#pragma once

#include <string_view>

#include "engine/config/json_value.h"

namespace ringmaster::config {

// nullptr = there is none.
inline const JsonValue* Find(const JsonValue& object, std::string_view key) {
  for (const JsonMember& member : object.members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

}  // namespace ringmaster::config
