#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocols/proxy/codec/crc32c.h"

// Version 2 headers, right ones and wrong ones, for tests.

namespace ringmaster::proxy {

inline std::string Word16(size_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}

// `length` lies when it is not the size of `block`.
inline std::string HeaderV2(uint8_t version_command, uint8_t family, std::string_view block,
                            int length = -1) {
  std::string bytes("\r\n\r\n\0\r\nQUIT\n", 12);
  bytes += static_cast<char>(version_command);
  bytes += static_cast<char>(family);
  bytes += Word16(length < 0 ? block.size() : static_cast<size_t>(length));
  return bytes.append(block);
}

// 192.0.2.1:56324 to 198.51.100.7:443.
inline const std::string kIpv4Block("\xC0\x00\x02\x01\xC6\x33\x64\x07\xDC\x04\x01\xBB", 12);
// [2001:db8::1]:56324 to [2001:db8::2]:443.
inline const std::string kIpv6Block(
    "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x01"
    "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x02"
    "\xDC\x04\x01\xBB",
    36);

inline std::string Tlv(uint8_t type, std::string_view value) {
  return std::string(1, static_cast<char>(type)) + Word16(value.size()) + std::string(value);
}

// `header` with its checksum extension (04 bytes of zeros at its end) filled in.
inline std::string WithChecksum(std::string header) {
  const uint32_t sum = FinishCrc32c(UpdateCrc32c(kCrc32cBegin, header));
  for (size_t i = 0; i < 4; ++i) {
    header[header.size() - 4 + i] = static_cast<char>(sum >> (24 - 8 * i));
  }
  return header;
}

}  // namespace ringmaster::proxy
