#pragma once

#include <cstdint>
#include <vector>

#include "engine/connection/connection_record.h"
#include "engine/worker/worker.h"

namespace ringmaster {

// A report on all connections, for the master: one ConnectionRecord each behind a
// ConnectionReportHeader, in the memfd of the worker's slot (WorkerEnvironment::report_fd).
//
// It is written in pieces, one a turn, so that no connection waits for it. A connection that comes
// or goes meanwhile may be missing; none is there twice.
struct Worker::Report {
  // Slots looked at in one turn: half a millisecond, most of it getpeername(2) of connections whose
  // peer nobody has asked for yet.
  static constexpr uint32_t kSlotsPerTurn = 1024;

  uint64_t request = 0;
  uint64_t count = 0;
  uint32_t next_slot = 0;
  bool failed = false;  // no memory for the memfd: it stays without a header
  std::vector<ConnectionRecord> piece;
};

}  // namespace ringmaster
