#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/base/time.h"

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

  SendQueue() = default;
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
  // Takes ownership of `fd`.
  void AppendFile(int fd, uint64_t offset, uint64_t bytes);

  bool empty() const { return inline_begin_ == inline_end_ && front_ == segments_.size(); }
  // Bytes in memory and not yet taken by the kernel.
  size_t bytes_pending() const { return bytes_pending_; }

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
  Gather Front();
  // What the last Front gave out: a send of fewer bytes was short, whatever was appended since.
  size_t bytes_given_out() const { return bytes_given_out_; }
  // `bytes` of what Front returned were taken by the kernel.
  void Consume(size_t bytes);

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

  // Drops everything; keeps the memory of the object itself for the next use.
  void Clear();

 private:
  enum class Kind : uint8_t { kHeap, kShared, kLeased, kFile };
  struct Segment {
    Kind kind;
    uint16_t buffer_id = 0;      // kLeased
    const char* data = nullptr;  // kShared: its owner's; kHeap, kFile: ours
    size_t begin = 0;            // first byte not yet sent
    size_t end = 0;              // behind the last byte ready
    size_t capacity = 0;
    std::shared_ptr<const void> owner;
    std::unique_ptr<char[]> storage;
    int fd = -1;
    uint64_t file_offset = 0;      // of the next piece to read
    uint64_t file_bytes_left = 0;  // not yet read
  };
  static bool Done(const Segment& segment) {
    return segment.begin == segment.end && segment.file_bytes_left == 0;
  }
  void PopFinished();
  void Finish(Segment& segment);

  uint32_t inline_begin_ = 0;
  uint32_t inline_end_ = 0;
  bool reserved_inline_ = false;  // where the last Reserve pointed
  size_t bytes_pending_ = 0;
  size_t bytes_given_out_ = 0;
  size_t file_count_ = 0;
  size_t front_ = 0;
  std::vector<Segment> segments_;  // behind the inline bytes
  Ring* lease_ring_ = nullptr;     // while something is leased
  msghdr message_ = {};
  iovec gather_[kGatherMax];
  char inline_[kInlineBytes];
};

// Keeps send queues that are not in use, last in first out, so that the next one is warm in the
// cache.
class SendQueuePool {
 public:
  std::unique_ptr<SendQueue> Take();
  void Put(std::unique_ptr<SendQueue> queue);
  // Gives back what is not in use.
  void Trim() {
    free_.clear();
    free_.shrink_to_fit();
  }

 private:
  // Enough for the connections of one busy turn; the rest goes back to the allocator.
  static constexpr size_t kKeptMax = 128;
  std::vector<std::unique_ptr<SendQueue>> free_;
};

}  // namespace ringmaster
