#include "engine/worker/backlog.h"

#include "engine/base/check.h"

namespace ringmaster {

Backlog::Backlog() { items_.reserve(kMax); }

void Backlog::TakeFrom(Ring& ring) {
  items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(front_));
  front_ = 0;
  const size_t before = items_.size();
  items_.resize(kMax);
  const size_t after = before + ring.Reap({items_.data() + before, kMax - before});
  items_.resize(after);
  for (size_t i = before; i < after; ++i) buffer_count_ += items_[i].has_buffer();
}

Completion Backlog::TakeOut(size_t place) {
  DCHECK(place < size());
  Completion& item = items_[front_ + place];
  const Completion taken = item;
  if (taken.has_buffer()) --buffer_count_;
  item = {};
  return taken;
}

Completion Backlog::TakeFirst() {
  const Completion taken = TakeOut(0);
  if (++front_ == items_.size()) {
    items_.clear();
    front_ = 0;
  }
  return taken;
}

}  // namespace ringmaster
