#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "engine/base/time.h"
#include "engine/base/unique_fd.h"
#include "engine/limits/address_table.h"
#include "engine/limits/contribution_book.h"
#include "engine/limits/gcra.h"
#include "engine/server.h"

namespace ringmaster {

// What all workers together may hold: connections of the server, of each listener, of each address,
// and their rates. In a memfd of its own that the master makes and every worker inherits; made only
// when a limit is set that needs it, so that a server without one pays nothing.
//
//     | Header | Gate of the server | Gate of listener 0 | ... | who waits | book | AddressTable |
//
// A limit is reserved before anything is allocated for a connection, and given back when it is
// gone. Reserving is a compare-and-swap below the maximum: the maximum is exact at any moment, over
// all workers. A worker that dies gives back through the master (TakeBack).
//
// Worker threads and the master; no locks.
class SharedLimits {
 public:
  static bool NeededBy(const ServerDefinition& server);
  // `server` outlives the limits.
  static absl::StatusOr<std::unique_ptr<SharedLimits>> Create(const ServerDefinition& server,
                                                              uint32_t worker_count);
  // Takes the descriptor that a worker inherited. Errors: kFailedPrecondition when the master made
  // it for another definition.
  static absl::StatusOr<std::unique_ptr<SharedLimits>> Map(UniqueFd fd,
                                                           const ServerDefinition& server);
  ~SharedLimits();
  SharedLimits(const SharedLimits&) = delete;
  SharedLimits& operator=(const SharedLimits&) = delete;

  int fd() const { return fd_.get(); }
  uint32_t worker_count() const;

  // Gates: 0 is the server's, 1 + i that of listener i.
  static constexpr uint32_t kServerGate = 0;
  static constexpr uint32_t ListenerGate(uint32_t listener) { return 1 + listener; }

  // Counts one more connection, unless there are `max` already (0 = no limit).
  bool Enter(uint32_t gate, uint32_t max, uint32_t worker);
  void Leave(uint32_t gate, uint32_t worker);
  uint32_t count(uint32_t gate) const;
  // One more new connection at `gate`, by the rate that is set there.
  bool AllowNew(uint32_t gate, const Gcra& rate, TimePoint now);

  // `change` more (or less) listeners of `worker` have connections waiting for room at `gate`.
  // Another worker that makes room there leaves it to whoever looks next, instead of serving its
  // own queue for ever.
  void AddWaiting(uint32_t gate, uint32_t worker, int change);
  bool OthersWait(uint32_t gate, uint32_t worker) const;

  // nullptr when no limit of addresses is set. For the worker that asks; `full` as in AddressTable.
  std::unique_ptr<AddressTable> Addresses(uint32_t worker, Counter& full) const;

  // The master, when `worker` has died and before its successor starts: what it held is free again.
  // False: some of it could not be settled yet (ContributionBook::TakeBack).
  bool TakeBack(uint32_t worker);

 private:
  struct Header;
  struct Gate;
  struct Layout;

  SharedLimits(UniqueFd fd, std::byte* memory, const ServerDefinition& server,
               uint32_t worker_count);
  Gate& gate(uint32_t index) const;
  std::atomic<uint16_t>& waiting(uint32_t gate, uint32_t worker) const;

  UniqueFd fd_;
  std::byte* memory_;
  const size_t bytes_;
  const ServerDefinition& server_;
  const uint32_t gate_count_;
  const uint32_t worker_count_;
  ContributionBook book_;
};

}  // namespace ringmaster
