#pragma once

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "engine/connection/connection.h"
#include "engine/stats/counters.h"

namespace ringmaster {

using TimerId = uint64_t;

// One worker: one ring, its listeners, its connections, one thread. What sessions and applications may
// ask of it stands here; worker thread only, except Post.
class Worker {
 public:
  virtual ~Worker() = default;

  uint32_t index() const { return index_; }
  // Time as of this turn.
  TimePoint now() const { return now_; }
  WorkerCounters& counters() { return *counters_; }
  bool stopping() const { return stopping_; }

  // nullptr when the connection is gone. The pointer is valid until control returns to the loop.
  Connection* Find(uint64_t connection_id);
  uint32_t connection_count() const;

  // Makes an outbound connection; `protocol.NewSession` is called at once, and the session hears of
  // failure by OnClosed(kConnectTimeout | kConnectFailed) and of success by OnConnected. Returns its id.
  absl::StatusOr<uint64_t> Connect(const Address& address, Protocol& protocol,
                                   const StreamOptions& options);

  // Calls `callback` once after `delay`, or every `period` when it is not 0. Cancel with the id.
  TimerId AddTimer(Duration delay, Duration period, absl::AnyInvocable<void()> callback);
  bool CancelTimer(TimerId id);

  // Runs `task` on the worker's thread in its next turn. Any thread; wakes the loop.
  void Post(absl::AnyInvocable<void()> task);

 protected:
  uint32_t index_ = 0;
  TimePoint now_ = 0;
  WorkerCounters* counters_ = nullptr;
  bool stopping_ = false;
};

}  // namespace ringmaster
