#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace ringmaster {

// What each worker has added to counts that all workers share (how many connections a limit holds),
// so that the master can take it back when a worker dies. Lives in shared memory, beside the
// counts:
//
//     | worker 0: sequence, changing, share[0], share[1], ... | worker 1: ... |
//
// A worker writes its own part alone, in plain stores, around its change of the shared count:
//
//     book.Begin(worker, cell);           // sequence becomes odd, `changing` names the cell
//     count.fetch_add(1);                 // or a compare-and-swap that may fail
//     book.End(worker, cell, +1);         // share += 1, sequence becomes even
//
// Whenever it is killed, its shares are what it added, but for the one cell that an odd sequence
// names: there the count may or may not have been changed. TakeBack settles that cell by recounting
// it: at a moment at which no other worker is changing it, the count must be the sum of the living
// workers' shares. The difference found then stays right whatever the others do afterwards, so it
// is subtracted with an atomic add and nobody is stopped.
//
// Memory order: the change of the count is a read-modify-write with release and acquire semantics,
// so Begin's stores are before it and End's after it, for the compiler and for every reader. A
// reader that has seen the changed count sees the odd sequence; one that sees the next even
// sequence sees the share.
class ContributionBook {
 public:
  // The count itself is in the low bits of its word; what stands above is its owner's.
  static constexpr int kCountBits = 28;
  static constexpr uint64_t kCountMask = (uint64_t{1} << kCountBits) - 1;

  static size_t BytesFor(uint32_t cell_count, uint32_t worker_count);

  ContributionBook() = default;
  // `memory`: BytesFor bytes, zero at first, aligned to 64.
  ContributionBook(std::byte* memory, uint32_t cell_count, uint32_t worker_count);

  void Begin(uint32_t worker, uint32_t cell);
  void End(uint32_t worker, uint32_t cell, int change);
  uint32_t share(uint32_t worker, uint32_t cell) const;

  // The master, when `worker` has died and before its successor starts: subtracts what it had
  // added. `count_of(cell)` is the shared word. False when a cell could not be settled because
  // another worker hangs (or has died too) in the middle of changing it: that worker's own TakeBack
  // does it.
  bool TakeBack(uint32_t worker,
                const std::function<std::atomic<uint64_t>&(uint32_t cell)>& count_of);

 private:
  // The shares follow behind it.
  struct alignas(64) Head {
    std::atomic<uint32_t> sequence;
    std::atomic<uint32_t> changing;
  };
  static size_t PartBytes(uint32_t cell_count);
  Head& head(uint32_t worker) const {
    return *reinterpret_cast<Head*>(memory_ + worker * part_bytes_);
  }
  std::atomic<uint32_t>& share_of(uint32_t worker, uint32_t cell) const {
    return reinterpret_cast<std::atomic<uint32_t>*>(&head(worker) + 1)[cell];
  }
  bool Settle(uint32_t dead, uint32_t cell, std::atomic<uint64_t>& count);

  std::byte* memory_ = nullptr;
  size_t part_bytes_ = 0;
  uint32_t cell_count_ = 0;
  uint32_t worker_count_ = 0;
};

}  // namespace ringmaster
