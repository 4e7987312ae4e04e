#pragma once

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>

namespace ringmaster::websocket {

// Collects a message that arrives in pieces. Grows by doubling, so that a message of n bytes costs
// O(n) whatever it was cut into; realloc lets the kernel move the pages of a large one instead of
// copying.
class MessageBuffer {
 public:
  MessageBuffer() = default;
  MessageBuffer(const MessageBuffer&) = delete;
  MessageBuffer& operator=(const MessageBuffer&) = delete;
  ~MessageBuffer() { std::free(data_); }

  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  std::span<char> bytes() { return {data_, size_}; }

  // `promised` bytes (those of `piece` included) are announced by the frame; `bytes_max` is the
  // most the message may ever have. The caller has checked that size() + piece.size() <= bytes_max.
  void Append(std::span<const char> piece, size_t promised, size_t bytes_max) {
    if (piece.empty()) return;
    const size_t needed = size_ + piece.size();
    assert(needed <= bytes_max);
    if (needed > capacity_) Grow(needed, promised, bytes_max);
    std::memcpy(data_ + size_, piece.data(), piece.size());
    size_ = needed;
  }

 private:
  // A promise is believed up to here, so that common messages are allocated once; beyond, memory
  // grows only with bytes that really came.
  static constexpr size_t kBelievedBytesMax = 16 * 1024;

  void Grow(size_t needed, size_t promised, size_t bytes_max) {
    size_t capacity = std::max(capacity_ * 2, size_ + std::min(promised, kBelievedBytesMax));
    capacity = std::max(std::min(capacity, bytes_max), needed);
    void* grown = std::realloc(data_, capacity);
    if (grown == nullptr) throw std::bad_alloc();
    data_ = static_cast<char*>(grown);
    capacity_ = capacity;
  }

  char* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace ringmaster::websocket
