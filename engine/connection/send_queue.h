#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"
#include "engine/connection/message_bounds.h"

namespace ringmaster {

class Ring;

// The output of one connection, in order: bytes copied in, bytes referenced, pieces of files. A
// connection has one only while it has output; they come from SendQueuePool.
//
//   front                                                 back
//   ┌────────────────┬──────────────┬──────────────┬───────────────┐
//   │ inline bytes   │ shared bytes │ file (piece) │ copied bytes  │
//   └────────────────┴──────────────┴──────────────┴───────────────┘
//     ▲ sent so far ... in flight: the kernel reads from here; nothing of it moves until Consume
//
// Appending while a send is in flight is fine: it only writes behind what the kernel was given. The
// answers of most turns are inline bytes alone and touch no segment: few cache lines matter at 500
// connections.
class SendQueue {
 public:
  // Most answers of one turn, and a 16 KiB WebSocket message with its header, fit without an
  // allocation.
  static constexpr size_t kInlineBytes = 16 * 1024 + 256;
  static constexpr size_t kFilePieceBytes = 128 * 1024;
  static constexpr size_t kGatherMax = 16;
  // The least that a queue of its own has, for a connection whose output waits for its peer.
  static constexpr size_t kSmallInlineBytes = 512;

  // What the queue holds is also counted in `*total_bytes`, if there is one.
  explicit SendQueue(size_t inline_bytes = kInlineBytes, size_t* total_bytes = nullptr)
      : inline_(new char[inline_bytes]),
        inline_capacity_(static_cast<uint32_t>(inline_bytes)),
        total_bytes_(total_bytes) {}
  ~SendQueue();
  SendQueue(const SendQueue&) = delete;
  SendQueue& operator=(const SendQueue&) = delete;

  // Contiguous room for `bytes` at the end, to be followed by Commit.
  char* Reserve(size_t bytes);
  void Commit(size_t bytes);
  void AppendShared(std::string_view bytes, std::shared_ptr<const void> owner);
  // Queues `bytes` that stand in a receive buffer of `ring`; the buffer is returned to it when they
  // were sent or copied. For a send that follows at once; see CopyLeased.
  void AppendLeased(std::string_view bytes, Ring& ring, uint16_t buffer_id);
  // Takes ownership of `fd`, also when it throws. The file is read in pieces of up to
  // `piece_bytes`.
  void AppendFile(int fd, uint64_t offset, uint64_t bytes, size_t piece_bytes = kFilePieceBytes);

  bool empty() const { return inline_begin_ == inline_end_ && front_ == segments_.size(); }
  // Bytes in memory and not yet taken by the kernel.
  size_t bytes_pending() const { return bytes_pending_; }
  // The same, and room for a piece of each file: what counts against the bounds of a queue.
  size_t bytes_bounded() const { return bytes_pending_ + file_room_; }
  // Memory held: the object, the blocks behind it, and what is shared with others by its part.
  size_t held_bytes() const { return object_bytes() + segment_bytes_; }
  size_t object_bytes() const { return sizeof(*this) + inline_capacity_; }

  // The bytes appended last are one message, which DropOldest may take out while none of it has
  // begun to leave.
  void MarkMessage(size_t bytes);
  // Drops whole messages, oldest first, until at least `bytes` are gone, and returns how many.
  // When that is impossible nothing is dropped: 0.
  uint32_t DropOldest(size_t bytes);

  // Without progress, how long what is queued may wait for the peer; set by whoever takes the
  // queue.
  Duration write_timeout = Duration::zero();

  // A file is queued of which not all has been read.
  bool HasFile() const;
  // Files queued and not yet sent to their end: each holds a descriptor.
  size_t file_count() const { return file_count_; }

  // What to send next: the ready bytes at the front, gathered. Stays valid until Consume or Clear.
  struct Gather {
    const msghdr* message = nullptr;  // when more than one piece
    const char* data = nullptr;       // when one piece
    size_t bytes = 0;  // 0 = nothing is ready: empty, or a file piece must be read first
  };
  // At most `bytes_max` of them. Messages that are touched can no longer be dropped.
  Gather Front(size_t bytes_max = SIZE_MAX);
  // What the last Front gave out: a send of fewer bytes was short, whatever was appended since.
  size_t bytes_given_out() const { return bytes_given_out_; }
  // `bytes` of what Front returned were taken by the kernel.
  void Consume(size_t bytes);

  // Appends what is in memory and not yet taken by the kernel, in order. No file may be queued.
  void CopyTo(std::string& out) const;

  // Before a wait for a slow peer: copies what stands in receive buffers and returns those, so that
  // no peer can hold the buffers that all connections share. Not while a send is in flight.
  void CopyLeased();

  // The file piece to read when Front has nothing ready.
  struct FileRead {
    int fd = -1;
    char* buffer = nullptr;
    size_t bytes = 0;
    uint64_t offset = 0;
  };
  FileRead NextFileRead();
  // `bytes` > 0 of it arrived.
  void CommitFileRead(size_t bytes);

  // Since when sends fail for want of kernel memory, without a byte of progress; kNever: they do
  // not.
  TimePoint failing_since() const { return failing_since_; }
  void set_failing_since(TimePoint now) { failing_since_ = now; }

  // Makes sure that so many appends need no memory for the list of segments itself.
  void ReserveSegments(size_t count);

  // Of the output that waits for a slow peer, from the first send that found no room until the peer
  // takes some of it.
  TimePoint write_deadline = kNever;

  // Drops everything; keeps the memory of the object itself for the next use.
  void Clear();

  // Takes over what `from` has, whose inline bytes fit. Neither has a send in flight.
  void TakeOver(SendQueue& from);
  bool large() const { return inline_capacity_ == kInlineBytes; }
  size_t inline_bytes_left() const { return inline_end_ - inline_begin_; }

 private:
  enum class Kind : uint8_t { kHeap, kShared, kLeased, kFile };
  struct Segment {
    Kind kind;
    uint16_t buffer_id = 0;      // kLeased
    const char* data = nullptr;  // kShared: its owner's; kHeap, kFile: ours
    size_t begin = 0;            // first byte not yet sent
    size_t end = 0;              // behind the last byte ready
    size_t capacity = 0;
    size_t held_bytes = 0;  // memory that goes with it
    std::shared_ptr<const void> owner;
    std::unique_ptr<char[]> storage;
    int fd = -1;
    uint64_t file_offset = 0;      // of the next piece to read
    uint64_t file_bytes_left = 0;  // not yet read
  };
  static bool Done(const Segment& segment) {
    return segment.begin == segment.end && segment.file_bytes_left == 0;
  }
  Segment& AddSegment(Segment segment, size_t held_bytes);
  void Hold(size_t bytes) {
    segment_bytes_ += bytes;
    if (total_bytes_ != nullptr) *total_bytes_ += bytes;
  }
  void Unhold(size_t bytes) {
    segment_bytes_ -= bytes;
    if (total_bytes_ != nullptr) *total_bytes_ -= bytes;
  }
  void PopFinished();
  void Finish(Segment& segment);
  void Remove(size_t offset, size_t bytes);
  bool RemoveFromSegment(Segment& segment, size_t offset, size_t bytes);
  void DropBounds();

  std::unique_ptr<char[]> inline_;
  uint32_t inline_capacity_;
  uint32_t inline_begin_ = 0;
  uint32_t inline_end_ = 0;
  bool reserved_inline_ = false;  // where the last Reserve pointed
  size_t bytes_pending_ = 0;
  size_t bytes_given_out_ = 0;
  size_t file_count_ = 0;
  size_t front_ = 0;
  std::vector<Segment> segments_;          // behind the inline bytes
  std::unique_ptr<MessageBounds> bounds_;  // from the first MarkMessage until the queue is empty
  size_t bounds_bytes_ = 0;                // memory of it that was counted
  size_t file_room_ = 0;                   // pieces of files that are not in memory
  size_t segment_bytes_ = 0;
  size_t removed_count_ = 0;  // segments that are empty because their messages were dropped
  size_t* total_bytes_;
  Ring* lease_ring_ = nullptr;  // while something is leased
  TimePoint failing_since_ = kNever;
  msghdr message_ = {};
  iovec gather_[kGatherMax];
};

// Keeps send queues that are not in use, last in first out, so that the next one is warm in the
// cache, and knows what those in use hold.
class SendQueuePool {
 public:
  SendQueuePool() { free_.reserve(kKeptMax); }  // Put must not throw
  std::unique_ptr<SendQueue> Take();
  void Put(std::unique_ptr<SendQueue> queue);
  // For output that waits for its peer: in place of `queue` one that is no larger than what it has.
  // No send of it is in flight.
  std::unique_ptr<SendQueue> Shrink(std::unique_ptr<SendQueue> queue);
  // Gives back what is not in use.
  void Trim() { free_.clear(); }

  // Memory that output makes the worker hold. Queues of the pool in use come in addition, for the
  // length of a turn: kLargeInUseMax of them at most.
  size_t held_bytes() const { return held_bytes_; }

 private:
  // Enough for the connections of one busy turn; the rest goes back to the allocator.
  static constexpr size_t kKeptMax = 128;
  // A turn that sends to more connections than it received from (a message to thousands of them)
  // gives the others small queues.
  static constexpr uint32_t kLargeInUseMax = 512;

  std::unique_ptr<SendQueue> New(size_t inline_bytes);

  std::vector<std::unique_ptr<SendQueue>> free_;
  size_t held_bytes_ = 0;
  uint32_t large_in_use_ = 0;
};

}  // namespace ringmaster
