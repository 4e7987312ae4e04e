#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ringmaster {

// Where whole messages stand in an output queue: what may be dropped without cutting one. Kept only
// for a queue whose oldest messages may be dropped, so that nobody else pays for it.
//
//   front                                        back
//   ┌─────────┬─────────┬────────┬─────────┬─────────┐
//   │ fixed   │ message │ fixed  │ message │ message │    fixed: begun to leave, or no message
//   └─────────┴─────────┴────────┴─────────┴─────────┘
//
// Two fixed stretches are never neighbours, so the oldest message is the first or the second entry
// and every step costs a constant.
class MessageBounds {
 public:
  // `bytes` are queued already; where their messages end is unknown.
  explicit MessageBounds(size_t bytes) { Add(bytes); }

  // At the end of the queue, no message.
  void Add(size_t bytes);
  // The last `bytes` that were added are one message.
  void MarkLast(size_t bytes);
  // In front of everything: a piece of a file.
  void AddFront(size_t bytes);
  // The first `bytes` begin to leave: messages that they touch stay.
  void Fix(size_t bytes);
  // The first `bytes` have left.
  void Consume(size_t bytes);

  size_t droppable_bytes() const { return droppable_bytes_; }

  struct Place {
    size_t offset;  // from the front of the queue
    size_t bytes;
  };
  // Forgets the oldest message, which there must be, and says where it stands.
  Place TakeOldest();

  size_t held_bytes() const { return sizeof(*this) + stretches_.capacity() * sizeof(Stretch); }

 private:
  struct Stretch {
    size_t droppable : 1;
    size_t bytes : 63;
  };
  Stretch& front() { return stretches_[front_]; }
  bool empty() const { return front_ == stretches_.size(); }
  void PushFront(Stretch stretch);
  void PopFront();
  // The front is fixed: what is fixed behind it becomes part of it.
  void JoinFront();

  std::vector<Stretch> stretches_;
  size_t front_ = 0;
  size_t droppable_bytes_ = 0;
};

}  // namespace ringmaster
