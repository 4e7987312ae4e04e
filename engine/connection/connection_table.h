#pragma once

#include <cstdint>

#include "absl/container/flat_hash_map.h"

namespace ringmaster {

// From a connection's public id to its slab slot: the look-up that applications use, listing,
// hand-off. The hot path does not come here: a completion carries slot and generation.
class ConnectionTable {
 public:
  struct Place {
    uint32_t slot;
    uint32_t generation;
  };

  void Insert(uint64_t id, Place place) { places_.emplace(id, place); }

  void Erase(uint64_t id) {
    places_.erase(id);
    // Follow the number of connections down: a table that once held 10,000 keeps no memory for
    // them.
    if (places_.capacity() > kCapacityKept && places_.size() * 8 < places_.capacity()) {
      places_.rehash(0);
    }
  }

  const Place* Find(uint64_t id) const {
    const auto it = places_.find(id);
    return it == places_.end() ? nullptr : &it->second;
  }

 private:
  static constexpr size_t kCapacityKept = 1024;
  absl::flat_hash_map<uint64_t, Place> places_;
};

}  // namespace ringmaster
