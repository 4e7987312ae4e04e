#include <new>

#include "engine/connection/operation.h"
#include "engine/worker/worker.h"

// Without memory: what a connection cannot do costs that connection, what the door cannot take in
// is closed and counted, and the worker lives. So the worker's lists of this turn's work must not
// throw: they are appended to from the middle of everything. A connection that finds no room in one
// of them is aborted; a closing one that finds no room in the list of those is found by looking
// through the slots.

namespace ringmaster {

bool Worker::ListOrAbort(std::vector<SlabPlace>& list, Connection& connection) {
  try {
    list.push_back({connection.slot_, connection.generation_});
    return true;
  } catch (const std::bad_alloc&) {
    connection.Abort(CloseReason::kNoMemory);
    return false;
  }
}

void Worker::ScheduleFlush(Connection& connection) {
  if (ListOrAbort(flush_list_, connection)) connection.flush_scheduled_ = true;
}

void Worker::ScheduleOffer(Connection& connection) {
  if (connection.offer_scheduled_) return;
  if (ListOrAbort(offer_list_, connection)) connection.offer_scheduled_ = true;
}

void Worker::AddStarved(Connection& connection) {
  if (ListOrAbort(starved_list_, connection)) connection.starved_ = true;
}

void Worker::ListForClose(Connection& connection) {
  if (connection.listed_for_close_) return;
  try {
    close_list_.push_back({connection.slot_, connection.generation_});
    connection.listed_for_close_ = true;
  } catch (const std::bad_alloc&) {
    close_list_incomplete_ = true;
  }
}

void Worker::ReleaseUnlisted() {
  close_list_incomplete_ = false;
  for (uint32_t slot = 0; slot < slab_.slot_count(); ++slot) {
    Connection* const connection = slab_.At(slot);
    if (connection == nullptr || connection->state_ != Connection::State::kClosing) continue;
    connection->NotifyClosed();
    if (connection->in_flight_ == 0) Release(*connection);
  }
}

void Worker::RefuseForMemory(int fd) {
  counters().refused_no_memory.Add();
  CloseDescriptor(fd);
}

}  // namespace ringmaster
