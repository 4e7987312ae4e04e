#include "protocols/http/codec/request_head.h"

#include "protocols/http/codec/characters.h"

namespace ringmaster::http {

uint32_t RequestHead::FindIndex(std::string_view name, uint32_t from) const {
  for (uint32_t i = from; i < field_count; i++) {
    if (EqualsIgnoreCase(fields[i].name, name)) return i;
  }
  return field_count;
}

std::optional<std::string_view> RequestHead::Find(std::string_view name) const {
  const uint32_t index = FindIndex(name);
  if (index == field_count) return std::nullopt;
  return fields[index].value;
}

}  // namespace ringmaster::http
