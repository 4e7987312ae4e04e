#include "engine/connection/message_bounds.h"

#include "engine/base/check.h"

namespace ringmaster {

void MessageBounds::Add(size_t bytes) {
  if (bytes == 0) return;
  if (!empty() && !stretches_.back().droppable) {
    stretches_.back().bytes += bytes;
  } else {
    stretches_.push_back({0, bytes});
  }
}

void MessageBounds::MarkLast(size_t bytes) {
  DCHECK(!empty() && !stretches_.back().droppable && stretches_.back().bytes >= bytes);
  droppable_bytes_ += bytes;
  if (stretches_.back().bytes == bytes) {
    stretches_.back().droppable = 1;
    return;
  }
  stretches_.back().bytes -= bytes;
  stretches_.push_back({1, bytes});
}

void MessageBounds::AddFront(size_t bytes) {
  if (bytes == 0) return;
  if (!empty() && !front().droppable) {
    front().bytes += bytes;
  } else {
    PushFront({0, bytes});
  }
}

void MessageBounds::Fix(size_t bytes) {
  if (bytes == 0 || empty() || (!front().droppable && front().bytes >= bytes)) return;
  size_t fixed = 0;
  while (fixed < bytes && !empty()) {
    if (front().droppable) droppable_bytes_ -= front().bytes;
    fixed += front().bytes;
    PopFront();
  }
  PushFront({0, fixed});
  JoinFront();
}

void MessageBounds::Consume(size_t bytes) {
  if (bytes == 0) return;
  Fix(bytes);
  DCHECK(!empty() && front().bytes >= bytes);
  front().bytes -= bytes;
  if (front().bytes == 0) PopFront();
}

MessageBounds::Place MessageBounds::TakeOldest() {
  DCHECK(droppable_bytes_ > 0);
  Place place = {0, front().bytes};
  if (front().droppable) {
    PopFront();
    if (!empty() && !front().droppable) JoinFront();
  } else {
    const Stretch before = front();
    PopFront();
    DCHECK(!empty() && front().droppable);
    place = {before.bytes, front().bytes};
    front() = before;
    JoinFront();
  }
  droppable_bytes_ -= place.bytes;
  return place;
}

void MessageBounds::PushFront(Stretch stretch) {
  if (front_ > 0) {
    stretches_[--front_] = stretch;
  } else {
    // Rare: a file piece in front of a queue of which nothing has left.
    stretches_.insert(stretches_.begin(), stretch);
  }
}

void MessageBounds::PopFront() {
  ++front_;
  if (front_ == stretches_.size()) {
    stretches_.clear();
    front_ = 0;
  } else if (front_ >= 64 && front_ * 2 >= stretches_.size()) {
    // A queue that is never empty must not grow a tail of what has left; half of it at a time, so
    // that each entry is moved once.
    stretches_.erase(stretches_.begin(), stretches_.begin() + static_cast<std::ptrdiff_t>(front_));
    front_ = 0;
  }
}

void MessageBounds::JoinFront() {
  while (front_ + 1 < stretches_.size() && !stretches_[front_ + 1].droppable) {
    stretches_[front_ + 1].bytes += stretches_[front_].bytes;
    ++front_;
  }
}

}  // namespace ringmaster
