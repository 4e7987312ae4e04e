#include "engine/connection/send_queue.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "engine/ring/ring.h"

namespace ringmaster {
namespace {

// One send is at most this long: a length in an SQE is 32 bits.
constexpr size_t kSendBytesMax = size_t{1} << 30;
// Smallest block allocated behind the inline one.
constexpr size_t kHeapBytesMin = 16 * 1024;

}  // namespace

SendQueue::~SendQueue() {
  // Leased buffers are not returned here: a queue that still has some dies with its ring.
  for (Segment& segment : segments_) {
    if (segment.fd >= 0) close(segment.fd);
  }
}

char* SendQueue::Reserve(size_t bytes) {
  const bool no_segments = front_ == segments_.size();
  if (no_segments && kInlineBytes - inline_end_ >= bytes) {
    reserved_inline_ = true;
    return inline_ + inline_end_;
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
  segment.capacity = std::max(bytes, kHeapBytesMin);
  segment.storage.reset(new char[segment.capacity]);
  segment.data = segment.storage.get();
  segments_.push_back(std::move(segment));
  return segments_.back().storage.get();
}

void SendQueue::Commit(size_t bytes) {
  bytes_pending_ += bytes;
  if (reserved_inline_) {
    DCHECK(kInlineBytes - inline_end_ >= bytes);
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
  segments_.push_back(std::move(segment));
  bytes_pending_ += bytes.size();
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
    lease_ring_->ReturnBuffer(segment.buffer_id);
  }
  lease_ring_ = nullptr;
}

void SendQueue::AppendShared(std::string_view bytes, std::shared_ptr<const void> owner) {
  if (bytes.empty()) return;
  Segment segment;
  segment.kind = Kind::kShared;
  segment.data = bytes.data();
  segment.end = bytes.size();
  segment.owner = std::move(owner);
  segments_.push_back(std::move(segment));
  bytes_pending_ += bytes.size();
}

void SendQueue::AppendFile(int fd, uint64_t offset, uint64_t bytes) {
  Segment segment;
  segment.kind = Kind::kFile;
  segment.fd = fd;
  segment.file_offset = offset;
  segment.file_bytes_left = bytes;
  segments_.push_back(std::move(segment));
  ++file_count_;
}

bool SendQueue::HasFile() const {
  for (size_t i = front_; i < segments_.size(); ++i) {
    if (segments_[i].file_bytes_left > 0) return true;
  }
  return false;
}

SendQueue::Gather SendQueue::Front() {
  Gather gather;
  size_t count = 0;
  if (inline_begin_ < inline_end_) {
    gather_[count++] = {inline_ + inline_begin_, inline_end_ - inline_begin_};
    gather.bytes = inline_end_ - inline_begin_;
  }
  for (size_t i = front_; i < segments_.size() && count < kGatherMax; ++i) {
    Segment& segment = segments_[i];
    const size_t bytes = std::min(segment.end - segment.begin, kSendBytesMax - gather.bytes);
    if (bytes > 0) {
      gather_[count++] = {const_cast<char*>(segment.data) + segment.begin, bytes};
      gather.bytes += bytes;
    }
    if (segment.file_bytes_left > 0 || gather.bytes == kSendBytesMax) break;
  }
  bytes_given_out_ = gather.bytes;
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
  bytes_pending_ -= bytes;
  const size_t from_inline = std::min<size_t>(bytes, inline_end_ - inline_begin_);
  inline_begin_ += static_cast<uint32_t>(from_inline);
  bytes -= from_inline;
  if (inline_begin_ == inline_end_) inline_begin_ = inline_end_ = 0;
  while (bytes > 0) {
    Segment& segment = segments_[front_];
    const size_t taken = std::min(bytes, segment.end - segment.begin);
    segment.begin += taken;
    bytes -= taken;
    if (!Done(segment)) break;
    PopFinished();
  }
  PopFinished();
}

void SendQueue::Finish(Segment& segment) {
  if (segment.kind == Kind::kLeased) lease_ring_->ReturnBuffer(segment.buffer_id);
  if (segment.fd >= 0) {
    close(segment.fd);
    --file_count_;
  }
  segment.fd = -1;
  segment.owner.reset();
  segment.storage.reset();
}

void SendQueue::PopFinished() {
  // Segments wait for the inline bytes in front of them.
  if (inline_begin_ != inline_end_) return;
  while (front_ < segments_.size() && Done(segments_[front_])) Finish(segments_[front_++]);
  if (front_ == segments_.size()) {
    segments_.clear();
    front_ = 0;
    lease_ring_ = nullptr;
  } else if (front_ >= 64) {
    // A queue that is never empty must not grow a tail of finished segments.
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(front_));
    front_ = 0;
  }
}

SendQueue::FileRead SendQueue::NextFileRead() {
  if (inline_begin_ != inline_end_ || front_ == segments_.size()) return {};
  Segment& segment = segments_[front_];
  if (segment.kind != Kind::kFile || segment.begin != segment.end || segment.file_bytes_left == 0) {
    return {};
  }
  if (segment.storage == nullptr) {
    segment.storage.reset(new char[kFilePieceBytes]);
    segment.data = segment.storage.get();
    segment.capacity = kFilePieceBytes;
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
}

void SendQueue::Clear() {
  for (size_t i = front_; i < segments_.size(); ++i) Finish(segments_[i]);
  segments_.clear();
  front_ = 0;
  inline_begin_ = inline_end_ = 0;
  bytes_pending_ = 0;
  lease_ring_ = nullptr;
}

std::unique_ptr<SendQueue> SendQueuePool::Take() {
  if (free_.empty()) return std::unique_ptr<SendQueue>(new SendQueue);
  std::unique_ptr<SendQueue> queue = std::move(free_.back());
  free_.pop_back();
  return queue;
}

void SendQueuePool::Put(std::unique_ptr<SendQueue> queue) {
  queue->Clear();  // what it leased goes home, kept or not
  if (free_.size() >= kKeptMax) return;
  free_.push_back(std::move(queue));
}

}  // namespace ringmaster
