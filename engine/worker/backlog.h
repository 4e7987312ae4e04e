#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/ring/ring.h"

namespace ringmaster {

// Completions that were taken from the ring and that a turn had no time for, in their order. Those
// that come first all the same are taken out of the middle.
//
//   backlog.TakeFrom(ring);
//   while (!backlog.empty()) Dispatch(backlog.TakeFirst());
//
// Worker thread only.
class Backlog {
 public:
  // Has room for kMax from the beginning: a crowded turn is no time to run out of memory.
  Backlog();

  // Takes what has completed, up to kMax together; the rest stays in the ring.
  void TakeFrom(Ring& ring);

  // `size` places; those of what was taken out of the middle are gone() and have no completion.
  size_t size() const { return items_.size() - front_; }
  bool empty() const { return front_ == items_.size(); }
  const Completion& at(size_t place) const { return items_[front_ + place]; }
  bool gone(size_t place) const { return at(place).user_data.value == 0; }
  Completion TakeOut(size_t place);
  // Not when empty(). May be gone.
  Completion TakeFirst();

  // Provided buffers that its completions carry.
  uint32_t buffer_count() const { return buffer_count_; }

  static constexpr size_t kMax = 4096;

 private:
  std::vector<Completion> items_;
  size_t front_ = 0;
  uint32_t buffer_count_ = 0;
};

}  // namespace ringmaster
