#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace ringmaster {

// The block that the next allocation of a SpareAllocator is served from. One per container;
// outlives it. Exists because Abseil's tables do not survive a failing allocation: they note their
// new capacity before they have the memory for it. So the memory is had first, and then they grow.
//
//   void Insert(...) {
//     if (map.size() * 4 >= map.capacity() * 3) {
//       spare.Prepare(bytes);               // throws std::bad_alloc, and nothing has changed
//       map.reserve(...);                   // takes the spare block; cannot fail
//     }
//     map.emplace(...);                     // has room
//   }
struct SpareBlock {
  SpareBlock() = default;
  SpareBlock(const SpareBlock&) = delete;
  SpareBlock& operator=(const SpareBlock&) = delete;
  ~SpareBlock() { ::operator delete(memory); }

  void Prepare(size_t wanted_bytes) {
    if (bytes >= wanted_bytes) return;
    void* const fresh = ::operator new(wanted_bytes);
    ::operator delete(memory);
    memory = fresh;
    bytes = wanted_bytes;
  }
  // What was not needed is not kept.
  void Drop() {
    ::operator delete(memory);
    memory = nullptr;
    bytes = 0;
  }

  void* memory = nullptr;
  size_t bytes = 0;
};

template <typename T>
class SpareAllocator {
 public:
  using value_type = T;

  explicit SpareAllocator(SpareBlock* spare) : spare_(spare) {}
  template <typename U>
  SpareAllocator(const SpareAllocator<U>& other) : spare_(other.spare()) {}

  T* allocate(size_t count) {
    const size_t bytes = count * sizeof(T);
    if (spare_->bytes < bytes) return static_cast<T*>(::operator new(bytes));
    spare_->bytes = 0;
    void* const memory = spare_->memory;
    spare_->memory = nullptr;
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t) { ::operator delete(memory); }

  SpareBlock* spare() const { return spare_; }
  template <typename U>
  bool operator==(const SpareAllocator<U>& other) const {
    return spare_ == other.spare();
  }

 private:
  SpareBlock* spare_;
};

}  // namespace ringmaster
