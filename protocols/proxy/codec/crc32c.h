#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ringmaster::proxy {

// CRC32c (Castagnoli, RFC 3720 appendix B.4), in pieces:
//
//   uint32_t sum = kCrc32cBegin;
//   sum = UpdateCrc32c(sum, part);
//   FinishCrc32c(sum)
//
// One table and a byte at a time: it runs once per connection over a few hundred bytes.
inline constexpr uint32_t kCrc32cBegin = 0xFFFFFFFF;

namespace internal {
constexpr std::array<uint32_t, 256> MakeCrc32cTable() {
  constexpr uint32_t kPolynomial = 0x82F63B78;  // 0x1EDC6F41 with its bits reversed
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t sum = i;
    for (int bit = 0; bit < 8; ++bit) sum = (sum & 1) != 0 ? sum >> 1 ^ kPolynomial : sum >> 1;
    table[i] = sum;
  }
  return table;
}
inline constexpr std::array<uint32_t, 256> kCrc32cTable = MakeCrc32cTable();
}  // namespace internal

constexpr uint32_t UpdateCrc32c(uint32_t sum, std::string_view bytes) {
  for (const char c : bytes) {
    sum = sum >> 8 ^ internal::kCrc32cTable[(sum ^ static_cast<uint8_t>(c)) & 0xFF];
  }
  return sum;
}

constexpr uint32_t FinishCrc32c(uint32_t sum) { return ~sum; }

// The check value of RFC 3720's polynomial over "123456789".
static_assert(FinishCrc32c(UpdateCrc32c(kCrc32cBegin, "123456789")) == 0xE3069283);

}  // namespace ringmaster::proxy
