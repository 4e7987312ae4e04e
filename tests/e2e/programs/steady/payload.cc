#include "tests/e2e/programs/steady/payload.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>

namespace steady {
namespace {

// Fillers are pieces of these.
constexpr size_t kTableBytes = 16 * 1024;

std::string MakeBinaryTable() {
  std::string table;
  for (size_t i = 0; table.size() < kTableBytes; ++i) {
    table += static_cast<char>(Scatter(i, 1) & 0xFF);
  }
  return table;
}

// Units of two bytes: a piece that begins and ends at an even offset is UTF-8.
std::string MakeTextTable() {
  std::string table;
  for (size_t i = 0; table.size() < kTableBytes; ++i) {
    const uint64_t draw = Scatter(i, 2);
    if (draw % 8 == 0) {
      table += "\xC3";
      table += static_cast<char>(0x80 | (draw >> 8 & 0x3F));
    } else {
      table += static_cast<char>('a' + (draw >> 8) % 26);
      table += static_cast<char>('0' + (draw >> 16) % 10);
    }
  }
  return table;
}

}  // namespace

void MakePayload(char kind, size_t connection, uint64_t sequence, bool text,
                 size_t filler_bytes_max, std::string& out) {
  static const std::string binary_table = MakeBinaryTable();
  static const std::string text_table = MakeTextTable();
  const uint64_t draw = Scatter(connection, sequence);
  // Half of them short: the lengths at which a header changes are small.
  size_t bytes = 1 + (draw >> 8) % filler_bytes_max;
  if (draw % 2 == 0) bytes = 1 + bytes % 200;
  size_t offset = (draw >> 32) % (kTableBytes - filler_bytes_max);
  if (text) {
    bytes &= ~size_t{1};
    offset &= ~size_t{1};
  }
  out.clear();
  fmt::format_to(std::back_inserter(out), "{}{}.{};", kind, connection, sequence);
  out.append(text ? text_table : binary_table, offset, bytes);
}

std::optional<PayloadName> ReadPayloadName(std::string_view payload) {
  if (payload.empty()) return std::nullopt;
  PayloadName name = {payload[0], 0, 0};
  const char* const end = payload.data() + payload.size();
  const auto connection = std::from_chars(payload.data() + 1, end, name.connection);
  if (connection.ec != std::errc() || connection.ptr == end || *connection.ptr != '.') {
    return std::nullopt;
  }
  const auto sequence = std::from_chars(connection.ptr + 1, end, name.sequence);
  if (sequence.ec != std::errc() || sequence.ptr == end || *sequence.ptr != ';') {
    return std::nullopt;
  }
  return name;
}

// SplitMix64's finalizer (Steele, Lea and Flood 2014).
uint64_t Scatter(uint64_t connection, uint64_t sequence) {
  uint64_t z = (connection << 40) + sequence * 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

}  // namespace steady
