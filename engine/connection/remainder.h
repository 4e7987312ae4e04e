#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>

namespace ringmaster {

// Received bytes that the session has not consumed yet: the beginning of an incomplete item, or
// what arrived while it was paused. One block, header and bytes; exists only while there is such a
// byte.
struct Remainder {
  uint32_t begin;
  uint32_t end;
  uint32_t capacity;
  // The bytes stand behind the header, in the same block.
  char* bytes() { return reinterpret_cast<char*>(this + 1); }

  size_t held_bytes() const { return sizeof(*this) + capacity; }

  std::span<char> span() { return {bytes() + begin, end - begin}; }

  // Appends, moving or growing the block as needed. `remainder` may be nullptr. Doubles, so that
  // bytes arriving one at a time cost a constant each.
  static Remainder* Append(Remainder* remainder, std::span<const char> added) {
    const size_t held = remainder == nullptr ? 0 : remainder->end - remainder->begin;
    if (remainder != nullptr && remainder->capacity - remainder->end < added.size() &&
        remainder->begin > 0) {
      std::memmove(remainder->bytes(), remainder->bytes() + remainder->begin, held);
      remainder->begin = 0;
      remainder->end = static_cast<uint32_t>(held);
    }
    if (remainder == nullptr || remainder->capacity - remainder->end < added.size()) {
      size_t capacity = 256;
      while (capacity - sizeof(Remainder) < held + added.size()) capacity *= 2;
      const bool fresh = remainder == nullptr;
      void* memory = std::realloc(remainder, capacity);
      if (memory == nullptr) throw std::bad_alloc();
      remainder = static_cast<Remainder*>(memory);
      if (fresh) remainder->begin = remainder->end = 0;
      remainder->capacity = static_cast<uint32_t>(capacity - sizeof(Remainder));
    }
    std::memcpy(remainder->bytes() + remainder->end, added.data(), added.size());
    remainder->end += static_cast<uint32_t>(added.size());
    return remainder;
  }

  static void Free(Remainder* remainder) { std::free(remainder); }
};

}  // namespace ringmaster
