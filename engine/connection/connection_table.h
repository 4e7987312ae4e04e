#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <new>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "engine/memory/slab.h"
#include "engine/memory/spare_allocator.h"

namespace ringmaster {

// From a connection's public id to its slab slot: the look-up that applications use, listing,
// hand-off. The hot path does not come here: a completion carries slot and generation.
class ConnectionTable {
 public:
  // Throws std::bad_alloc when there is no memory to grow; the table is as it was.
  void Insert(uint64_t id, SlabPlace place) {
    // Ahead of the table's own growth, which begins at 25/32, or at once in a tiny table that holds
    // erased entries.
    if (places_.capacity() < kCapacityMin || places_.size() * 4 >= places_.capacity() * 3) {
      const size_t capacity = std::max(places_.capacity() * 2 + 1, kCapacityMin);
      spare_.Prepare(BytesFor(capacity));
      places_.reserve(capacity - capacity / 8);
      spare_.Drop();
    }
    places_.emplace(id, place);
  }

  void Erase(uint64_t id) {
    places_.erase(id);
    // Follow the number of connections down: a table that once held 10,000 keeps no memory for
    // them.
    if (places_.capacity() > kCapacityKept && places_.size() * 8 < places_.capacity()) Shrink();
  }

  const SlabPlace* Find(uint64_t id) const {
    const auto it = places_.find(id);
    return it == places_.end() ? nullptr : &it->second;
  }

 private:
  static constexpr size_t kCapacityMin = 127;
  static constexpr size_t kCapacityKept = 1024;
  // One control byte per slot and a group of them behind, aligned.
  static size_t BytesFor(size_t capacity) {
    return capacity * (sizeof(std::pair<const uint64_t, SlabPlace>) + 1) + 128;
  }

  void Shrink() {
    try {
      spare_.Prepare(BytesFor(places_.capacity()));
      places_.rehash(0);
      spare_.Drop();
    } catch (const std::bad_alloc&) {
      // It stays as large as it is until there is memory to make it smaller.
    }
  }

  SpareBlock spare_;
  absl::flat_hash_map<uint64_t, SlabPlace, absl::Hash<uint64_t>, std::equal_to<>,
                      SpareAllocator<std::pair<const uint64_t, SlabPlace>>>
      places_{SpareAllocator<std::pair<const uint64_t, SlabPlace>>(&spare_)};
};

}  // namespace ringmaster
