#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ringmaster::websocket {

static_assert(std::endian::native == std::endian::little,
              "the masking key is kept as a little-endian word: byte 0 of the key is its low byte");

// Masks or unmasks (the same operation, RFC 6455 section 5.3) `bytes` in place. Returns whether the
// result holds an octet above 0x7F: the pass that must touch every byte anyway answers the question
// whether UTF-8 needs a closer look.
bool MaskLong(char* data, size_t bytes, uint32_t key);

inline bool Mask(char* data, size_t bytes, uint32_t key) {
  // 128: beyond, the vector loop wins over the call to it.
  if (bytes >= 128) return MaskLong(data, bytes, key);
  const uint64_t wide_key = static_cast<uint64_t>(key) << 32 | key;
  uint64_t seen = 0;
  while (bytes >= 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    word ^= wide_key;
    std::memcpy(data, &word, 8);
    seen |= word;
    data += 8;
    bytes -= 8;
  }
  if (bytes >= 4) {
    uint32_t word;
    std::memcpy(&word, data, 4);
    word ^= key;
    std::memcpy(data, &word, 4);
    seen |= word;
    data += 4;
    bytes -= 4;
  }
  for (; bytes > 0; --bytes, ++data, key >>= 8) {
    *data = static_cast<char>(*data ^ static_cast<char>(key));
    seen |= static_cast<uint8_t>(*data);
  }
  return (seen & 0x8080808080808080u) != 0;
}

// The key for the bytes behind the first `bytes` of a payload.
inline uint32_t RotateMaskingKey(uint32_t key, size_t bytes) {
  return std::rotr(key, static_cast<int>(bytes % 4) * 8);
}

}  // namespace ringmaster::websocket
