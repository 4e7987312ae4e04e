#include <malloc.h>

#include <algorithm>

#include "engine/worker/worker.h"

// A worker that held many connections returns to its former memory when they close: the slab gives
// its chunks back by itself, the rest is asked for here, once per fall and never on the way up.

namespace ringmaster {
namespace {

// Below this many at the peak there is nothing worth the walk through the heap.
constexpr uint32_t kPeakWorthTrimming = 1024;
// Fallen to this fraction of the peak.
constexpr uint32_t kFallen = 8;

// The walk that it takes to count what the allocator has handed out is worth it this often.
constexpr Duration kPublishHeapPeriod = std::chrono::seconds(1);

}  // namespace

void Worker::PublishHeap() {
  publish_heap_at_ = now_ + kPublishHeapPeriod.count();
  const struct mallinfo2 info = mallinfo2();
  counters().heap_bytes.Set(info.uordblks + info.hblkhd);
}

void Worker::TrimMemoryAfterAFall() {
  const uint32_t count = slab_.used_count();
  if (connections_peak_ < kPeakWorthTrimming || count > connections_peak_ / kFallen) return;
  connections_peak_ = count;
  send_queues_.Trim();
  for (std::vector<SlabPlace>* list :
       {&flush_list_, &offer_list_, &starved_list_, &close_list_, &scratch_list_}) {
    list->shrink_to_fit();
  }
  retired_.shrink_to_fit();
  malloc_trim(0);
}

}  // namespace ringmaster
