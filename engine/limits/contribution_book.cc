#include "engine/limits/contribution_book.h"

#include <sched.h>

#include <vector>

namespace ringmaster {
namespace {

// A change takes nanoseconds; one that lasts longer belongs to a process that is stopped or dead.
constexpr int kSettleAttemptsMax = 10'000;

}  // namespace

size_t ContributionBook::PartBytes(uint32_t cell_count) {
  return (sizeof(Head) + cell_count * sizeof(std::atomic<uint32_t>) + 63) / 64 * 64;
}

size_t ContributionBook::BytesFor(uint32_t cell_count, uint32_t worker_count) {
  return PartBytes(cell_count) * worker_count;
}

ContributionBook::ContributionBook(std::byte* memory, uint32_t cell_count, uint32_t worker_count)
    : memory_(memory),
      part_bytes_(PartBytes(cell_count)),
      cell_count_(cell_count),
      worker_count_(worker_count) {}

void ContributionBook::Begin(uint32_t worker, uint32_t cell) {
  Head& own = head(worker);
  own.changing.store(cell, std::memory_order_relaxed);
  own.sequence.store(own.sequence.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void ContributionBook::End(uint32_t worker, uint32_t cell, int change) {
  Head& own = head(worker);
  std::atomic<uint32_t>& share = share_of(worker, cell);
  if (change != 0) {
    share.store(share.load(std::memory_order_relaxed) + static_cast<uint32_t>(change),
                std::memory_order_relaxed);
  }
  own.sequence.store(own.sequence.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

uint32_t ContributionBook::share(uint32_t worker, uint32_t cell) const {
  return share_of(worker, cell).load(std::memory_order_relaxed);
}

bool ContributionBook::TakeBack(
    uint32_t worker, const std::function<std::atomic<uint64_t>&(uint32_t cell)>& count_of) {
  Head& dead = head(worker);
  const bool torn = dead.sequence.load(std::memory_order_acquire) % 2 == 1;
  const uint32_t changing = dead.changing.load(std::memory_order_relaxed);
  for (uint32_t cell = 0; cell < cell_count_; ++cell) {
    if (torn && cell == changing) continue;
    const uint32_t share = share_of(worker, cell).load(std::memory_order_relaxed);
    if (share == 0) continue;
    count_of(cell).fetch_sub(share);
    share_of(worker, cell).store(0, std::memory_order_relaxed);
  }
  if (!torn) return true;
  share_of(worker, changing).store(0, std::memory_order_relaxed);
  dead.sequence.fetch_add(1, std::memory_order_release);
  return Settle(worker, changing, count_of(changing));
}

bool ContributionBook::Settle(uint32_t dead, uint32_t cell, std::atomic<uint64_t>& count) {
  std::vector<uint32_t> sequences(worker_count_);
  for (int attempt = 0; attempt < kSettleAttemptsMax; ++attempt) {
    if (attempt > 0) ::sched_yield();
    bool quiet = true;
    uint64_t sum = 0;
    for (uint32_t worker = 0; worker < worker_count_; ++worker) {
      if (worker == dead) continue;
      Head& other = head(worker);
      sequences[worker] = other.sequence.load(std::memory_order_acquire);
      quiet &= sequences[worker] % 2 == 0 || other.changing.load(std::memory_order_relaxed) != cell;
      sum += share_of(worker, cell).load(std::memory_order_relaxed);
    }
    const uint64_t counted = count.load(std::memory_order_acquire) & kCountMask;
    std::atomic_thread_fence(std::memory_order_acquire);
    for (uint32_t worker = 0; worker < worker_count_ && quiet; ++worker) {
      if (worker == dead) continue;
      quiet = head(worker).sequence.load(std::memory_order_relaxed) == sequences[worker];
    }
    if (!quiet) continue;
    // The word's upper bits cannot borrow: the difference is what the count has too much, 0 or 1 of
    // the dead worker's, or nothing where its decrement came first.
    count.fetch_sub(counted - sum);
    return true;
  }
  return false;
}

}  // namespace ringmaster
