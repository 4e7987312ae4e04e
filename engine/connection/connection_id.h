#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ringmaster {

// A connection's id as people see it, in logs, in `connections` and for `kill`: hexadecimal. Its
// last twelve digits are the sequence, what stands in front is the worker: "2a", "100000000002a".
std::string FormatConnectionId(uint64_t id);
// nullopt: none that FormatConnectionId writes.
std::optional<uint64_t> ParseConnectionId(std::string_view text);
// The worker that it lives in.
constexpr uint32_t WorkerOfConnection(uint64_t id) { return static_cast<uint32_t>(id >> 48); }

}  // namespace ringmaster
