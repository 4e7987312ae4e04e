#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ringmaster {

// A connection's id as people see it, in logs, in `connections` and for `kill`: hexadecimal. Its
// last twelve digits are a sequence, what stands in front tells the processes apart that took
// connections in: "2a", "100000000002a". It stays when the connection moves to another worker.
std::string FormatConnectionId(uint64_t id);
// nullopt: none that FormatConnectionId writes.
std::optional<uint64_t> ParseConnectionId(std::string_view text);

}  // namespace ringmaster
