#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "engine/connection/connection.h"
#include "engine/connection/connection_table.h"
#include "engine/connection/send_queue.h"
#include "engine/listener/listener.h"
#include "engine/memory/slab.h"
#include "engine/ring/ring.h"
#include "engine/stats/counters.h"
#include "engine/worker/timer_queue.h"
#include "engine/worker/worker_environment.h"

namespace ringmaster {

// The provided buffer whose bytes are being delivered to a session.
struct ReceivedBuffer {
  std::span<char> bytes;
  uint16_t buffer_id = 0;
  bool leased = false;  // the output queue returns it
};

// One worker: one ring, its listeners, its connections, one thread. What sessions and applications
// may ask of it stands first; worker thread only, except Post.
//
// A turn of the loop (turn.cc):
//   submit and wait (one system call) ─ completions ─ timers, posted tasks ─ offered remainders
//   ─ output flushed, one send each ─ closed connections released
class Worker {
 public:
  // `ring` is a KernelRing, or a simulation. `server` outlives the worker.
  Worker(ServerDefinition& server, const WorkerEnvironment& environment,
         std::unique_ptr<Ring> ring);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  uint32_t index() const { return environment_.index; }
  // Time as of this turn.
  TimePoint now() const { return now_; }
  WorkerCounters& counters() { return *environment_.counters; }
  bool stopping() const { return stopping_; }

  // nullptr when the connection is gone. The pointer is valid until control returns to the loop.
  Connection* Find(uint64_t connection_id);
  uint32_t connection_count() const { return slab_.used_count(); }

  // Makes an outbound connection to a TCP or unix address. `protocol.NewSession` is called at once;
  // the session hears of success by OnConnected and of failure by OnClosed(kConnectTimeout |
  // kConnectFailed). Returns the connection's id. `protocol` and `options` outlive the connection.
  // Errors: kResourceExhausted (no descriptor), kUnavailable (the worker is stopping).
  absl::StatusOr<uint64_t> Connect(const Address& address, Protocol& protocol,
                                   const StreamOptions& options);

  // Calls `callback` once after `delay`, or again every `period` when it is not 0.
  TimerId AddTimer(Duration delay, Duration period, absl::AnyInvocable<void()> callback);
  bool CancelTimer(TimerId id);

  // Runs `task` on the worker's thread in its next turn. Any thread; wakes the loop.
  void Post(absl::AnyInvocable<void()> task);

  // -- For RunWorker and tests
  // -----------------------------------------------------------------------

  // Arms the listeners and the control socket. The first turn may follow.
  void Start();
  // One turn; false when the worker has stopped and nothing is in flight any more.
  bool Turn();
  // Graceful: no new connections, Session::OnStop for each; connections that do not end by
  // themselves are aborted at options.stop_timeout.
  void Stop();
  // Aborts every connection.
  void StopNow();
  Ring& ring() { return *ring_; }

  // -- For Connection and Listener only
  // --------------------------------------------------------------
  void AddAccepted(Listener& listener, int fd);
  bool AtConnectionLimit() const { return slab_.used_count() >= connections_max_; }
  void ScheduleFlush(Connection& connection);
  void ScheduleOffer(Connection& connection);
  void AddStarved(Connection& connection);
  void ListForClose(Connection& connection);
  // A session that was replaced or closed, perhaps while one of its calls is on the stack.
  void Retire(std::unique_ptr<Session> session) { retired_.push_back(std::move(session)); }
  // The end of connection.options().timeouts.lifetime; cancelled when the connection goes.
  void AddLifetime(Connection& connection, TimePoint deadline);
  void CancelLifetime(Connection& connection);
  SendQueuePool& send_queues() { return send_queues_; }
  ReceivedBuffer& received() { return received_; }
  uint32_t lease_bytes_min() const { return server_.options.lease_bytes_min; }

 private:
  struct Posted;  // what other threads queue

  void Dispatch(const Completion& completion);
  void DispatchToConnection(const Completion& completion);
  void OnControl(int32_t result);
  void OnWake();
  void ArmControl();
  void ArmWake();
  void RunPosted();
  void OfferRemainders();
  void FlushScheduled();
  void RearmStarved();
  void ReleaseClosed();
  void Release(Connection& connection);
  void TellStop(bool also_fresh);
  bool Stopped() const;
  void PublishFigures();
  void TrimMemoryAfterAFall();
  Ring::Wait NextWait();
  Connection& NewConnection(int fd, Protocol& protocol, const StreamOptions& options);
  friend class Connection;

  ServerDefinition& server_;
  WorkerEnvironment environment_;
  std::unique_ptr<Ring> ring_;
  TimePoint now_ = 0;
  uint32_t connections_max_ = 0;
  uint64_t next_connection_sequence_ = 1;

  SendQueuePool send_queues_;
  ReceivedBuffer received_;
  Slab<Connection> slab_;
  ConnectionTable table_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  TimerQueue timers_;
  // Of the connections that have a lifetime, by connection id. Not in the connection: few have one.
  absl::flat_hash_map<uint64_t, TimerId> lifetime_timers_;

  // Work of this turn, by slot and generation: a connection may be released before its entry is
  // reached.
  struct SlotRef {
    uint32_t slot;
    uint32_t generation;
  };
  std::vector<SlotRef> flush_list_;
  std::vector<SlotRef> offer_list_;
  std::vector<SlotRef> starved_list_;
  std::vector<SlotRef> close_list_;
  std::vector<SlotRef> scratch_list_;
  std::vector<std::unique_ptr<Session>> retired_;
  // Addresses that SQEs of this turn point at.
  std::vector<std::unique_ptr<Address>> connect_addresses_;

  std::unique_ptr<Posted> posted_;
  int wake_fd_ = -1;
  uint64_t wake_value_ = 0;
  char control_byte_ = 0;

  bool stopping_ = false;
  uint32_t closes_in_flight_ = 0;
  uint32_t completions_last_turn_ = 0;
  uint32_t connections_peak_ = 0;  // since the last trim
};

}  // namespace ringmaster
