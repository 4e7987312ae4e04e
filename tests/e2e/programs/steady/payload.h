#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Contents that say where they belong, and can be made again to be compared.

namespace steady {

// "`kind``connection`.`sequence`;" and up to `filler_bytes_max` bytes that differ from those of
// every other. Text is UTF-8 with characters of one and of two bytes. Sequences begin at 1.
void MakePayload(char kind, size_t connection, uint64_t sequence, bool text,
                 size_t filler_bytes_max, std::string& out);

// What the front of a payload says.
struct PayloadName {
  char kind;
  size_t connection;
  uint64_t sequence;
};
std::optional<PayloadName> ReadPayloadName(std::string_view payload);

// Well spread, the same in every run: a failure can be looked for again.
uint64_t Scatter(uint64_t connection, uint64_t sequence);

}  // namespace steady
