#pragma once

#include <cstdint>
#include <deque>

#include "engine/base/time.h"
#include "engine/connection/stream_options.h"

namespace ringmaster {

class Connection;
class Worker;

// Connections that came in a moment ago. Their receive has no linked timeout yet: one costs a
// twentieth of all that a connection costs that is there for one request, and most of those are
// gone before any deadline is near. Who is still there at the end of the window, a quarter of a
// second or half of the first deadline, has its receive ended and armed again with its timeout.
//
//   if (!unlinked.Add(connection)) { ... link the timeout at once ... }
//
// Worker thread only.
class UnlinkedReceives {
 public:
  // `timeouts`: of the listener. `worker` outlives the object.
  UnlinkedReceives(Worker& worker, const Timeouts& timeouts);

  // The connection is looked at between the end of the window and an eighth of a window later.
  // False: for want of memory it is not.
  bool Add(const Connection& connection);
  // Of what is added now. A deadline must be as far away again.
  Duration window() const { return window_; }

 private:
  struct Entry {
    uint64_t connection_id;
    TimePoint due;
  };
  void LookLater();
  void Look();
  void LinkDueUntil(TimePoint end);

  Worker& worker_;
  const Duration window_;
  bool timer_set_ = false;
  std::deque<Entry> entries_;  // by due
};

}  // namespace ringmaster
