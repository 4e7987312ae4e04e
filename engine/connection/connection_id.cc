#include "engine/connection/connection_id.h"

#include <fmt/format.h>

#include <charconv>

namespace ringmaster {

std::string FormatConnectionId(uint64_t id) { return fmt::format("{:x}", id); }

std::optional<uint64_t> ParseConnectionId(std::string_view text) {
  uint64_t id = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, id, 16);
  if (error != std::errc() || rest != end || id == 0) return std::nullopt;
  return id;
}

}  // namespace ringmaster
