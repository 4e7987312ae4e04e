#pragma once

#include <sys/mman.h>

#include <algorithm>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "engine/base/check.h"

namespace ringmaster {

// A slot in one of its lives. Held by whoever comes back later: that life may be over by then.
struct SlabPlace {
  uint32_t slot;
  uint32_t generation;
};

// Fixed-size slots in stable memory, addressed by index. A slot that is allocated again gets
// another generation, so that what still names its former life (a late completion, a timer) is
// recognised.
//
// Slots live in chunks of kSlotsPerChunk. Chunks whose slots are all free are given back to the
// system, all but one, so that memory follows the number of connections down again; lowest free
// slots go first, so that chunks can become empty.
//
//   Slab<Connection> slab;
//   auto [slot, connection] = slab.Allocate();
//   slab.Get({slot, generation})   // nullptr when that life is over
//   slab.Free(slot);
template <typename T>
class Slab {
 public:
  static constexpr uint32_t kSlotsPerChunk = 256;
  static constexpr uint32_t kGenerationMask = (1u << 24) - 1;

  Slab() = default;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab() {
    for (uint32_t chunk = 0; chunk < chunks_.size(); ++chunk) {
      if (chunks_[chunk].slots == nullptr) continue;
      for (uint32_t i = 0; i < kSlotsPerChunk; ++i) {
        if (chunks_[chunk].slots[i].allocated) chunks_[chunk].slots[i].value()->~T();
      }
      Unmap(chunks_[chunk]);
    }
  }

  struct Allocation {
    uint32_t slot;
    uint32_t generation;
    T* value;
  };

  // Constructs a T in the first free slot of the first chunk that has one. Throws std::bad_alloc
  // when a chunk is needed and cannot be mapped; nothing has changed then.
  template <typename... Arguments>
  Allocation Allocate(Arguments&&... arguments) {
    const uint32_t chunk_index = ChunkWithRoom();
    Chunk& chunk = chunks_[chunk_index];
    const uint32_t i = chunk.free_head;
    Slot& slot = chunk.slots[i];
    chunk.free_head = slot.next_free;
    ++chunk.used_count;
    ++used_count_;
    slot.allocated = true;
    // One counter for all slots: it survives a chunk that was given back.
    next_generation_ = (next_generation_ + 1) & kGenerationMask;
    slot.generation = next_generation_;
    T* value = new (slot.storage) T(std::forward<Arguments>(arguments)...);
    return {chunk_index * kSlotsPerChunk + i, slot.generation, value};
  }

  void Free(uint32_t slot_index) {
    Chunk& chunk = chunks_[slot_index / kSlotsPerChunk];
    Slot& slot = chunk.slots[slot_index % kSlotsPerChunk];
    CHECK(slot.allocated);
    slot.value()->~T();
    slot.allocated = false;
    slot.next_free = chunk.free_head;
    chunk.free_head = slot_index % kSlotsPerChunk;
    --chunk.used_count;
    --used_count_;
    first_with_room_ = std::min(first_with_room_, slot_index / kSlotsPerChunk);
    if (chunk.used_count == 0) ReleaseOrSpare(slot_index / kSlotsPerChunk);
  }

  // The value while that life lasts, else nullptr.
  T* Get(SlabPlace place) {
    const uint32_t chunk_index = place.slot / kSlotsPerChunk;
    if (chunk_index >= chunks_.size() || chunks_[chunk_index].slots == nullptr) return nullptr;
    Slot& slot = chunks_[chunk_index].slots[place.slot % kSlotsPerChunk];
    return slot.allocated && slot.generation == place.generation ? slot.value() : nullptr;
  }

  // Calls visit(T&) on every allocated slot, lowest first. `visit` must not allocate or free.
  template <typename Visit>
  void ForEach(Visit&& visit) {
    for (Chunk& chunk : chunks_) {
      if (chunk.used_count == 0) continue;
      for (uint32_t i = 0; i < kSlotsPerChunk; ++i) {
        if (chunk.slots[i].allocated) visit(*chunk.slots[i].value());
      }
    }
  }

  // All slots, allocated or not; for a walk during which slots may be allocated and freed.
  uint32_t slot_count() const { return static_cast<uint32_t>(chunks_.size()) * kSlotsPerChunk; }
  // The value that lives in a slot now, else nullptr.
  T* At(uint32_t slot_index) {
    Chunk& chunk = chunks_[slot_index / kSlotsPerChunk];
    if (chunk.slots == nullptr) return nullptr;
    Slot& slot = chunk.slots[slot_index % kSlotsPerChunk];
    return slot.allocated ? slot.value() : nullptr;
  }

  static constexpr uint32_t kEnd = UINT32_MAX;

  // The same over at most `slots_max` slots from `begin` on; returns where to go on, or kEnd.
  // Between two calls anything may be allocated and freed: what stays allocated is visited once.
  template <typename Visit>
  uint32_t ForEachFrom(uint32_t begin, uint32_t slots_max, Visit&& visit) {
    uint32_t looked_at = 0;
    uint32_t slot = begin;
    while (slot / kSlotsPerChunk < chunks_.size()) {
      Chunk& chunk = chunks_[slot / kSlotsPerChunk];
      if (chunk.used_count == 0) {
        slot = (slot / kSlotsPerChunk + 1) * kSlotsPerChunk;
        continue;
      }
      if (looked_at == slots_max) return slot;
      ++looked_at;
      Slot& place = chunk.slots[slot % kSlotsPerChunk];
      if (place.allocated) visit(*place.value());
      ++slot;
    }
    return kEnd;
  }

  uint32_t used_count() const { return used_count_; }
  size_t mapped_bytes() const { return mapped_chunk_count_ * kChunkBytes; }

 private:
  struct Slot {
    alignas(T) std::byte storage[sizeof(T)];
    uint32_t generation = 0;
    uint32_t next_free : 31 = 0;
    uint32_t allocated : 1 = 0;
    T* value() { return std::launder(reinterpret_cast<T*>(storage)); }
  };
  struct Chunk {
    Slot* slots = nullptr;
    uint32_t free_head = 0;
    uint32_t used_count = 0;
  };
  static constexpr uint32_t kEndOfList = kSlotsPerChunk;
  static constexpr size_t kChunkBytes = (sizeof(Slot) * kSlotsPerChunk + 4095) & ~size_t{4095};

  uint32_t ChunkWithRoom() {
    uint32_t chunk = first_with_room_;
    while (chunk < chunks_.size() && chunks_[chunk].slots != nullptr &&
           chunks_[chunk].used_count == kSlotsPerChunk) {
      ++chunk;
    }
    first_with_room_ = chunk;
    if (chunk == chunks_.size()) chunks_.emplace_back();
    if (chunks_[chunk].slots == nullptr) Map(chunks_[chunk]);
    if (chunk == spare_) spare_ = kNoSpare;
    return chunk;
  }

  void Map(Chunk& chunk) {
    void* memory =
        mmap(nullptr, kChunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    chunk.slots = static_cast<Slot*>(memory);
    for (uint32_t i = 0; i < kSlotsPerChunk; ++i) {
      new (&chunk.slots[i]) Slot;
      chunk.slots[i].next_free = i + 1;
    }
    static_assert(kEndOfList == kSlotsPerChunk);
    chunk.free_head = 0;
    ++mapped_chunk_count_;
  }

  void Unmap(Chunk& chunk) {
    munmap(chunk.slots, kChunkBytes);
    chunk.slots = nullptr;
    --mapped_chunk_count_;
  }

  // Keeps one empty chunk, the lowest, so that a count that swings around a multiple of the chunk
  // size does not map and unmap at every swing.
  void ReleaseOrSpare(uint32_t chunk_index) {
    if (spare_ == kNoSpare) {
      spare_ = chunk_index;
      return;
    }
    const uint32_t victim = std::max(spare_, chunk_index);
    spare_ = std::min(spare_, chunk_index);
    Unmap(chunks_[victim]);
  }

  static constexpr uint32_t kNoSpare = UINT32_MAX;

  std::vector<Chunk> chunks_;
  uint32_t first_with_room_ = 0;
  uint32_t spare_ = kNoSpare;
  uint32_t next_generation_ = 0;
  uint32_t used_count_ = 0;
  size_t mapped_chunk_count_ = 0;
};

}  // namespace ringmaster
