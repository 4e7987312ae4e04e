#include "engine/connection/send_queue.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/unique_fd.h"
#include "engine/ring/ring.h"

namespace ringmaster {
namespace {

// One send is at most this long: a length in an SQE is 32 bits.
constexpr size_t kSendBytesMax = size_t{1} << 30;
// Smallest block allocated behind the inline one: as much as is queued already, within these, so
// that a queue that waits with a few bytes holds little more.
constexpr size_t kHeapBytesLeast = 512;
constexpr size_t kHeapBytesUsual = 16 * 1024;
// More segments than this are not kept for the next use.
constexpr size_t kSegmentsKept = 64;

}  // namespace

SendQueue::~SendQueue() {
  // Leased buffers are not returned here: a queue that still has some dies with its ring.
  for (Segment& segment : segments_) {
    if (segment.fd >= 0) close(segment.fd);
  }
}

SendQueue::Segment& SendQueue::AddSegment(Segment segment, size_t held_bytes) {
  segment.held_bytes = held_bytes + sizeof(Segment);
  segments_.push_back(std::move(segment));  // throws without memory: then nothing was counted
  Hold(segments_.back().held_bytes);
  return segments_.back();
}

char* SendQueue::Reserve(size_t bytes) {
  const bool no_segments = front_ == segments_.size();
  if (no_segments && inline_capacity_ - inline_end_ >= bytes) {
    reserved_inline_ = true;
    return inline_.get() + inline_end_;
  }
  reserved_inline_ = false;
  if (!no_segments) {
    Segment& last = segments_.back();
    if (last.kind == Kind::kHeap && last.capacity - last.end >= bytes) {
      return last.storage.get() + last.end;
    }
  }
  Segment segment;
  segment.kind = Kind::kHeap;
  segment.capacity = std::max(bytes, std::clamp(bytes_pending_, kHeapBytesLeast, kHeapBytesUsual));
  segment.storage.reset(new char[segment.capacity]);
  segment.data = segment.storage.get();
  const size_t capacity = segment.capacity;
  return AddSegment(std::move(segment), capacity).storage.get();
}

void SendQueue::Commit(size_t bytes) {
  bytes_pending_ += bytes;
  if (bounds_ != nullptr) [[unlikely]]
    bounds_->Add(bytes);
  if (reserved_inline_) {
    DCHECK(inline_capacity_ - inline_end_ >= bytes);
    inline_end_ += static_cast<uint32_t>(bytes);
    return;
  }
  Segment& last = segments_.back();
  DCHECK(last.capacity - last.end >= bytes);
  last.end += bytes;
}

void SendQueue::AppendLeased(std::string_view bytes, Ring& ring, uint16_t buffer_id) {
  lease_ring_ = &ring;
  Segment segment;
  segment.kind = Kind::kLeased;
  segment.buffer_id = buffer_id;
  segment.data = bytes.data();
  segment.end = bytes.size();
  AddSegment(std::move(segment), 0);
  bytes_pending_ += bytes.size();
  if (bounds_ != nullptr) bounds_->Add(bytes.size());
}

void SendQueue::CopyLeased() {
  if (lease_ring_ == nullptr) return;
  for (size_t i = front_; i < segments_.size(); ++i) {
    Segment& segment = segments_[i];
    if (segment.kind != Kind::kLeased) continue;
    const size_t left = segment.end - segment.begin;
    segment.storage.reset(new char[left]);
    std::memcpy(segment.storage.get(), segment.data + segment.begin, left);
    segment.data = segment.storage.get();
    segment.begin = 0;
    segment.end = segment.capacity = left;
    segment.kind = Kind::kHeap;
    segment.held_bytes += left;
    Hold(left);
    lease_ring_->ReturnBuffer(segment.buffer_id);
  }
  lease_ring_ = nullptr;
}

void SendQueue::CopyTo(std::string& out) const {
  DCHECK(file_count_ == 0);
  out.append(inline_.get() + inline_begin_, inline_end_ - inline_begin_);
  for (size_t i = front_; i < segments_.size(); ++i) {
    const Segment& segment = segments_[i];
    out.append(segment.data + segment.begin, segment.end - segment.begin);
  }
}

void SendQueue::AppendShared(std::string_view bytes, std::shared_ptr<const void> owner) {
  if (bytes.empty()) return;
  Segment segment;
  segment.kind = Kind::kShared;
  segment.data = bytes.data();
  segment.end = bytes.size();
  // Bytes that many queues share are held once, by all of them: each counts its part, as many as
  // there are when it comes. The sender's own reference goes when it returns.
  const auto sharers = static_cast<size_t>(std::max(owner.use_count() - 1, 1L));
  segment.owner = std::move(owner);
  AddSegment(std::move(segment), bytes.size() / sharers);
  bytes_pending_ += bytes.size();
  if (bounds_ != nullptr) bounds_->Add(bytes.size());
}

void SendQueue::ReserveSegments(size_t count) {
  const size_t wanted = segments_.size() + count;
  if (segments_.capacity() < wanted) segments_.reserve(std::max(wanted, segments_.capacity() * 2));
}

void SendQueue::AppendFile(int fd, uint64_t offset, uint64_t bytes, size_t piece_bytes) {
  UniqueFd owned(fd);
  ReserveSegments(1);
  owned.Release();
  Segment segment;
  segment.kind = Kind::kFile;
  segment.fd = fd;
  segment.file_offset = offset;
  segment.file_bytes_left = bytes;
  segment.capacity = static_cast<size_t>(std::min<uint64_t>(piece_bytes, bytes));
  file_room_ += segment.capacity;
  // The block comes with the first piece; that it will come is known now.
  const size_t capacity = segment.capacity;
  AddSegment(std::move(segment), capacity);
  ++file_count_;
}

void SendQueue::MarkMessage(size_t bytes) {
  if (bytes == 0) return;
  if (bounds_ == nullptr) bounds_ = std::make_unique<MessageBounds>(bytes_pending_);
  bounds_->MarkLast(bytes);
  const size_t held = bounds_->held_bytes();
  if (held == bounds_bytes_) return;
  Hold(held - bounds_bytes_);
  bounds_bytes_ = held;
}

uint32_t SendQueue::DropOldest(size_t bytes) {
  if (bounds_ == nullptr || bounds_->droppable_bytes() < bytes) return 0;
  uint32_t dropped = 0;
  for (size_t gone = 0; gone < bytes; ++dropped) {
    const MessageBounds::Place place = bounds_->TakeOldest();
    Remove(place.offset, place.bytes);
    gone += place.bytes;
  }
  return dropped;
}

// Takes bytes out of the middle of the queue: behind what is in flight, so that nothing moves that
// the kernel reads. A block that holds several messages has at most kHeapBytesUsual bytes.
void SendQueue::Remove(size_t offset, size_t bytes) {
  bytes_pending_ -= bytes;
  const size_t inline_bytes = inline_end_ - inline_begin_;
  if (offset < inline_bytes) {
    const size_t removed = std::min(bytes, inline_bytes - offset);
    char* const place = inline_.get() + inline_begin_ + offset;
    std::memmove(place, place + removed, inline_bytes - offset - removed);
    inline_end_ -= static_cast<uint32_t>(removed);
    bytes -= removed;
    offset += removed;
  }
  size_t begin = inline_bytes;
  for (size_t i = front_; bytes > 0; ++i) {
    Segment& segment = segments_[i];
    const size_t size = segment.end - segment.begin;
    if (offset < begin + size) {
      const size_t removed = std::min(bytes, begin + size - offset);
      if (RemoveFromSegment(segment, offset - begin, removed)) ++removed_count_;
      bytes -= removed;
      offset += removed;
    }
    begin += size;
  }
  if (inline_begin_ == inline_end_) inline_begin_ = inline_end_ = 0;
  // Empty segments wait until they are in front, unless there are many; they are moved once each.
  if (removed_count_ >= 64 && removed_count_ * 2 >= segments_.size() - front_) {
    const auto first = segments_.begin() + static_cast<std::ptrdiff_t>(front_);
    const auto finished = [](const Segment& segment) { return segment.held_bytes == 0; };
    segments_.erase(std::remove_if(first, segments_.end(), finished), segments_.end());
    removed_count_ = 0;
  }
  PopFinished();
}

// True when nothing of it is left.
bool SendQueue::RemoveFromSegment(Segment& segment, size_t offset, size_t bytes) {
  const size_t size = segment.end - segment.begin;
  if (bytes == size) {
    segment.begin = segment.end;
    if (segment.file_bytes_left > 0) return false;
    Finish(segment);
    return true;
  }
  if (segment.kind == Kind::kHeap) {
    char* const place = segment.storage.get() + segment.begin + offset;
    std::memmove(place, place + bytes, size - offset - bytes);
    segment.end -= bytes;
  } else if (offset == 0) {
    segment.begin += bytes;
  } else {
    // A message ends where what is not ours ends, so nothing is ever taken from within.
    CHECK(offset + bytes == size);
    segment.end -= bytes;
  }
  return false;
}

bool SendQueue::HasFile() const {
  for (size_t i = front_; i < segments_.size(); ++i) {
    if (segments_[i].file_bytes_left > 0) return true;
  }
  return false;
}

SendQueue::Gather SendQueue::Front(size_t bytes_max) {
  bytes_max = std::min(bytes_max, kSendBytesMax);
  Gather gather;
  size_t count = 0;
  if (inline_begin_ < inline_end_) {
    gather.bytes = std::min<size_t>(inline_end_ - inline_begin_, bytes_max);
    gather_[count++] = {inline_.get() + inline_begin_, gather.bytes};
  }
  for (size_t i = front_; i < segments_.size() && count < kGatherMax && gather.bytes < bytes_max;
       ++i) {
    Segment& segment = segments_[i];
    const size_t bytes = std::min(segment.end - segment.begin, bytes_max - gather.bytes);
    if (bytes > 0) {
      gather_[count++] = {const_cast<char*>(segment.data) + segment.begin, bytes};
      gather.bytes += bytes;
    }
    if (segment.file_bytes_left > 0) break;
  }
  bytes_given_out_ = gather.bytes;
  if (bounds_ != nullptr) [[unlikely]]
    bounds_->Fix(gather.bytes);
  if (count == 1) {
    gather.data = static_cast<const char*>(gather_[0].iov_base);
  } else if (count > 1) {
    message_ = {};
    message_.msg_iov = gather_;
    message_.msg_iovlen = count;
    gather.message = &message_;
  }
  return gather;
}

void SendQueue::Consume(size_t bytes) {
  DCHECK(bytes <= bytes_pending_);
  if (bytes > 0) failing_since_ = write_deadline = kNever;
  bytes_pending_ -= bytes;
  if (bounds_ != nullptr) [[unlikely]]
    bounds_->Consume(bytes);
  const size_t from_inline = std::min<size_t>(bytes, inline_end_ - inline_begin_);
  inline_begin_ += static_cast<uint32_t>(from_inline);
  bytes -= from_inline;
  if (inline_begin_ == inline_end_) inline_begin_ = inline_end_ = 0;
  while (bytes > 0) {
    Segment& segment = segments_[front_];
    const size_t taken = std::min(bytes, segment.end - segment.begin);
    segment.begin += taken;
    bytes -= taken;
    if (segment.kind == Kind::kFile) file_room_ += taken;
    if (!Done(segment)) break;
    PopFinished();
  }
  PopFinished();
}

// A segment may be finished long before it is in front: what is left of it is an empty one.
void SendQueue::Finish(Segment& segment) {
  if (segment.kind == Kind::kLeased) lease_ring_->ReturnBuffer(segment.buffer_id);
  if (segment.kind == Kind::kFile) file_room_ -= segment.capacity - (segment.end - segment.begin);
  if (segment.fd >= 0) {
    close(segment.fd);
    --file_count_;
  }
  Unhold(segment.held_bytes);
  segment.kind = Kind::kHeap;
  segment.fd = -1;
  segment.begin = segment.end = segment.capacity = segment.held_bytes = 0;
  segment.owner.reset();
  segment.storage.reset();
}

void SendQueue::PopFinished() {
  // Segments wait for the inline bytes in front of them.
  if (inline_begin_ != inline_end_) return;
  while (front_ < segments_.size() && Done(segments_[front_])) {
    if (segments_[front_].held_bytes > 0) {
      Finish(segments_[front_]);
    } else {
      --removed_count_;
    }
    ++front_;
  }
  if (front_ == segments_.size()) {
    segments_.clear();
    front_ = 0;
    lease_ring_ = nullptr;
    if (bounds_ != nullptr) DropBounds();
  } else if (front_ >= 64) {
    // A queue that is never empty must not grow a tail of finished segments.
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(front_));
    front_ = 0;
  }
}

void SendQueue::DropBounds() {
  bounds_.reset();
  Unhold(bounds_bytes_);
  bounds_bytes_ = 0;
}

SendQueue::FileRead SendQueue::NextFileRead() {
  if (inline_begin_ != inline_end_ || front_ == segments_.size()) return {};
  Segment& segment = segments_[front_];
  if (segment.kind != Kind::kFile || segment.begin != segment.end || segment.file_bytes_left == 0) {
    return {};
  }
  if (segment.storage == nullptr) {
    segment.storage.reset(new char[segment.capacity]);
    segment.data = segment.storage.get();
  }
  segment.begin = segment.end = 0;
  return {segment.fd, segment.storage.get(),
          static_cast<size_t>(std::min<uint64_t>(segment.capacity, segment.file_bytes_left)),
          segment.file_offset};
}

void SendQueue::CommitFileRead(size_t bytes) {
  Segment& segment = segments_[front_];
  DCHECK(bytes <= segment.file_bytes_left);
  segment.end = bytes;
  segment.file_offset += bytes;
  segment.file_bytes_left -= bytes;
  bytes_pending_ += bytes;
  file_room_ -= bytes;
  if (bounds_ != nullptr) bounds_->AddFront(bytes);
}

void SendQueue::Clear() {
  for (size_t i = front_; i < segments_.size(); ++i) {
    if (segments_[i].held_bytes > 0) Finish(segments_[i]);
  }
  segments_.clear();
  if (segments_.capacity() > kSegmentsKept) segments_.shrink_to_fit();
  if (bounds_ != nullptr) DropBounds();
  front_ = 0;
  removed_count_ = 0;
  inline_begin_ = inline_end_ = 0;
  bytes_pending_ = 0;
  lease_ring_ = nullptr;
  failing_since_ = kNever;
  write_deadline = kNever;
}

void SendQueue::TakeOver(SendQueue& from) {
  DCHECK(empty() && from.inline_bytes_left() <= inline_capacity_);
  inline_begin_ = 0;
  inline_end_ = static_cast<uint32_t>(from.inline_bytes_left());
  std::memcpy(inline_.get(), from.inline_.get() + from.inline_begin_, inline_end_);
  from.inline_begin_ = from.inline_end_ = 0;
  bytes_pending_ = std::exchange(from.bytes_pending_, 0);
  front_ = std::exchange(from.front_, 0);
  segments_ = std::move(from.segments_);
  from.segments_.clear();
  bounds_ = std::move(from.bounds_);
  bounds_bytes_ = std::exchange(from.bounds_bytes_, 0);
  file_room_ = std::exchange(from.file_room_, 0);
  file_count_ = std::exchange(from.file_count_, 0);
  write_timeout = from.write_timeout;
  write_deadline = from.write_deadline;
  segment_bytes_ = std::exchange(from.segment_bytes_, 0);
  removed_count_ = std::exchange(from.removed_count_, 0);
  lease_ring_ = std::exchange(from.lease_ring_, nullptr);
}

std::unique_ptr<SendQueue> SendQueuePool::New(size_t inline_bytes) {
  return std::make_unique<SendQueue>(inline_bytes, &held_bytes_);
}

std::unique_ptr<SendQueue> SendQueuePool::Take() {
  std::unique_ptr<SendQueue> queue;
  if (!free_.empty()) {
    queue = std::move(free_.back());
    free_.pop_back();
    ++large_in_use_;
  } else if (large_in_use_ < kLargeInUseMax) {
    queue = New(SendQueue::kInlineBytes);
    ++large_in_use_;
  } else {
    queue = New(SendQueue::kSmallInlineBytes);
  }
  if (!queue->large()) held_bytes_ += queue->object_bytes();
  return queue;
}

void SendQueuePool::Put(std::unique_ptr<SendQueue> queue) {
  queue->Clear();  // what it leased goes home, kept or not
  if (!queue->large()) {
    held_bytes_ -= queue->object_bytes();
    return;
  }
  --large_in_use_;
  if (free_.size() >= kKeptMax) return;
  free_.push_back(std::move(queue));
}

std::unique_ptr<SendQueue> SendQueuePool::Shrink(std::unique_ptr<SendQueue> queue) {
  if (!queue->large()) return queue;
  const size_t room = std::max(queue->inline_bytes_left(), SendQueue::kSmallInlineBytes);
  // Full to the last byte it would be as large again.
  if (room == SendQueue::kInlineBytes) return queue;
  std::unique_ptr<SendQueue> small = New(room);
  held_bytes_ += small->object_bytes();
  small->TakeOver(*queue);
  Put(std::move(queue));
  return small;
}

}  // namespace ringmaster
