#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/connection/connection.h"
#include "engine/connection/connection_table.h"
#include "engine/connection/send_queue.h"
#include "engine/listener/arrival.h"
#include "engine/listener/listener.h"
#include "engine/memory/slab.h"
#include "engine/process/control_message.h"
#include "engine/ring/ring.h"
#include "engine/stats/counters.h"
#include "engine/stats/loop_pulse.h"
#include "engine/worker/backlog.h"
#include "engine/worker/queue_probe.h"
#include "engine/worker/queue_time_gate.h"
#include "engine/worker/timer_queue.h"
#include "engine/worker/turn_timings.h"
#include "engine/worker/worker_environment.h"

namespace ringmaster {

class AddressTable;
class Door;
class Farewell;
class HandoffGiver;
class HandoffTaker;
class Orphan;
class SharedLimits;

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
  // Of the server's configuration; a reload counts it up.
  uint32_t generation() const { return environment_.generation; }
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

  // Requests and messages by address (address_table.h); nullptr when no limit of addresses is set.
  AddressTable* addresses() { return addresses_; }
  const AddressLimits& address_limits() const { return server_.options.address; }
  // The connection came in through a listener and turns out to come from `client` (a proxy said
  // so): it is counted for that address from now on, and peer() says it. Anything but kNone: a
  // limit or a list of that address refuses it; it was counted and logged, nothing has changed, and
  // the caller closes with CloseReason::kRefused.
  Refusal ReaddressConnection(Connection& connection, const PeerAddress& client);
  // Whether the allow and deny of the listener through which the connection came let in what it
  // brings for `client`. False: it was counted and logged as a refusal.
  bool LetsIn(const Connection& connection, const PeerAddress& client);

  // Runs `task` on the worker's thread in its next turn. Any thread; wakes the loop.
  void Post(absl::AnyInvocable<void()> task);

  // -- For RunWorker and tests
  // -----------------------------------------------------------------------

  // Arms the control socket, and unless it stands by the listeners. The first turn may follow.
  void Start();
  // Accepts from now on, or again after HandOver; who has taken connections over keeps them.
  void Serve();
  // The same while it is not clear whether who took over lives (TakeBack).
  void Resume();
  // One turn; false when the worker has stopped and nothing is in flight any more.
  bool Turn();
  // Graceful: no new connections, Session::OnStop for each; connections that do not end by
  // themselves are aborted at options.stop_timeout.
  void Stop();
  // Aborts every connection.
  void StopNow();
  // Another worker has its place: it accepts no more, its connections come to their end, and it
  // leaves. Who can be told that its connection will not be kept is told; others may go on until
  // options.drain_timeout, and are told then, spread over options.drain_spread (drain.cc).
  void Retire();
  // Asks the master to reload the server, as its reload command does.
  void RequestReload();
  // Closes one by the operator's word; false when there is none of that id.
  bool Kill(uint64_t connection_id);
  Ring& ring() { return *ring_; }
  size_t timer_count() const { return timers_.size(); }
  // The connection whose session's call is on the stack, or nullptr. Async-signal-safe on the
  // worker's thread.
  const Connection* delivering() const { return delivering_.load(std::memory_order_relaxed); }

  // -- For Connection and Listener only
  // --------------------------------------------------------------
  // The door has let it in: its place is taken, its address counted.
  void AddAccepted(Listener& listener, const Arrival& arrival);
  Door& door() { return *door_; }
  Farewell& farewell() { return *farewell_; }
  void CloseDescriptor(int fd);
  bool AtConnectionLimit() const { return slab_.used_count() >= connections_max_; }
  // These never throw: a connection for which there is no memory is aborted (no_memory.cc).
  void ScheduleFlush(Connection& connection);
  void ScheduleOffer(Connection& connection);
  void AddStarved(Connection& connection);
  void ListForClose(Connection& connection);
  // Closes an accepted descriptor for which nothing else can be done, and counts it.
  void RefuseForMemory(int fd);
  // overload.cc
  bool AdmitFirstBytes(Connection& connection);
  const QueueTimeGate& gate() const { return gate_; }
  // A session that was replaced or closed, perhaps while one of its calls is on the stack.
  // When there is no memory to remember it, the caller keeps it.
  void Retire(std::unique_ptr<Session>&& session) { retired_.push_back(std::move(session)); }
  // Memory: see memory_limits.cc.
  void ChangeHeldInput(size_t before, size_t after) { held_input_bytes_ += after - before; }
  void ChangeHeldOutput(size_t before, size_t after) { held_output_bytes_ += after - before; }
  // Of a connection that was closed for it, and comes back with its last completion.
  void Doom(size_t bytes) { doomed_bytes_ += bytes; }
  size_t buffered_bytes() const {
    return held_input_bytes_ + held_output_bytes_ + send_queues_.held_bytes() - doomed_bytes_;
  }
  bool over_memory_limit() const { return buffered_bytes() > memory_hard_; }
  void HoldBack(Connection& connection);
  SendQueuePool& send_queues() { return send_queues_; }
  // The kernel copies what is sent (and reads of files) while it takes the SQEs: of that, too, a
  // turn has only so much.
  bool MayOutput() const { return turn_output_bytes_ < kTurnOutputMax; }
  void CountOutput(size_t bytes) { turn_output_bytes_ += bytes; }
  ReceivedBuffer& received() { return received_; }
  TurnTimings& timings() { return timings_; }
  // While one of them is called, the connection whose session it is. Nothing nests but a session's
  // own calls into its connection.
  class Delivering {
   public:
    Delivering(Worker& worker, const Connection& connection)
        : worker_(worker), before_(worker.delivering()) {
      worker_.delivering_.store(&connection, std::memory_order_relaxed);
    }
    ~Delivering() { worker_.delivering_.store(before_, std::memory_order_relaxed); }
    Delivering(const Delivering&) = delete;
    Delivering& operator=(const Delivering&) = delete;

   private:
    Worker& worker_;
    const Connection* const before_;
  };
  uint32_t lease_bytes_min() const { return server_.options.lease_bytes_min; }

 private:
  struct Posted;  // what other threads queue
  struct Report;  // connection_report.h

  // A turn that handled at least this many completions was busy: wait for a batch next time. Below
  // it, latency is what matters and one completion wakes the loop.
  static constexpr uint32_t kBusyCompletions = 8;
  // Some milliseconds of copying.
  static constexpr size_t kTurnOutputMax = 2 << 20;

  void Dispatch(const Completion& completion);
  void DispatchToConnection(const Completion& completion);
  void OnControl(int32_t result);
  void OnWake();
  void Wake();  // any thread
  void ArmControl();
  // orphan.cc
  bool Outlives() const;
  void OnMasterGone();
  void OnOrphan(const Completion& completion);
  void CloseDoor();
  void OnHandoff(uint32_t channel);
  UniqueFd TakeFromInbox();
  void BeginHandOver();
  void BeginAdoption();
  void Answer(ControlMessage message, uint64_t argument);
  void BeginReport(uint64_t request);
  void ContinueReport();
  void ArmWake();
  void RunPosted();
  // crowded_turn.cc
  void AskQueue();
  bool TakeEverything(Ring::Wait& wait) const;
  void HandleCompletions();
  uint32_t HandleBacklog();
  uint32_t HandleFirst(bool (Worker::*comes_first)(const Completion&), TimePoint end);
  bool IsOfClosing(const Completion& completion);
  bool IsArrival(const Completion& completion);
  const Connection* ConnectionOf(const Completion& completion);
  // Provided buffers that are not waiting to be looked at.
  uint32_t FreeBuffers() const;
  void OfferRemainders();
  void FlushScheduled();
  void RearmStarved();
  void ReleaseClosed();
  void ReleaseUnlisted();
  bool ListOrAbort(std::vector<SlabPlace>& list, Connection& connection);
  void Release(Connection& connection);
  // The worker that took its place died before its reload was done.
  void TakeBack();
  // What came from other workers and stands still.
  void LetTakenBegin();
  // It lives on elsewhere: nothing is said, and the socket, which is the caller's, stays as it is.
  UniqueFd Depart(Connection& connection);
  // Nothing of it is left here but its socket.
  void Forget(Connection& connection);
  void FreePlace(Connection& connection);
  void TellStop(bool also_fresh);
  // drain.cc
  void TellDraining(bool also_fresh);
  void EndDrain();
  void DrainNext();
  bool Stopped() const;
  void PublishFigures();
  void PublishHeap();
  void FollowGate();
  void TrimMemoryAfterAFall();
  void EnforceMemoryLimits();
  Ring::Wait NextWait();
  bool AllocatePlace(Slab<Connection>::Allocation& place);
  void BoundLifetime(Connection& connection);
  // nullptr: there is no memory for it; the descriptor is still the caller's.
  Connection* NewConnection(const Arrival& arrival, Protocol& protocol,
                            const StreamOptions& options);
  friend class Connection;
  friend class HandoffGiver;
  friend class HandoffTaker;
  friend class HandoffTestPeer;
  friend class Orphan;

  ServerDefinition& server_;
  WorkerEnvironment environment_;
  std::unique_ptr<Ring> ring_;
  LoopPulse own_pulse_;  // when nobody gave one
  LoopPulse& pulse_;
  std::atomic<const Connection*> delivering_{nullptr};
  TimePoint now_ = 0;
  uint32_t connections_max_ = 0;
  uint64_t next_connection_sequence_ = 1;

  SendQueuePool send_queues_;
  ReceivedBuffer received_;
  Slab<Connection> slab_;
  ConnectionTable table_;
  // Where the environment brings none: the limits of one worker alone.
  std::unique_ptr<SharedLimits> own_limits_;
  std::unique_ptr<Door> door_;
  std::unique_ptr<Farewell> farewell_;
  AddressTable* addresses_ = nullptr;  // the door's
  std::vector<std::unique_ptr<Listener>> listeners_;
  TimerQueue timers_;
  QueueTimeGate gate_;
  TurnTimings timings_;
  Ring::Figures published_;  // what the ring had counted when its figures were published last

  // crowded_turn.cc: what has completed is more than the last turn had time for.
  bool crowded_ = false;
  uint32_t first_deliveries_ = 0;  // in this turn
  size_t turn_output_bytes_ = 0;
  Backlog backlog_;
  QueueProbe queue_probe_;

  // Work of this turn.
  std::vector<SlabPlace> flush_list_;
  std::vector<SlabPlace> offer_list_;
  std::vector<SlabPlace> starved_list_;
  std::vector<SlabPlace> close_list_;
  std::vector<SlabPlace> scratch_list_;
  // A closing connection is missing in close_list_: there was no memory for its entry.
  bool close_list_incomplete_ = false;
  std::vector<std::unique_ptr<Session>> retired_;
  // Addresses that SQEs of this turn point at.
  std::vector<std::unique_ptr<Address>> connect_addresses_;

  // memory_limits.cc. A limit that is off is SIZE_MAX.
  struct Fat {
    size_t bytes;
    SlabPlace ref;
    static bool Less(const Fat& left, const Fat& right) { return left.bytes < right.bytes; }
  };
  template <typename Wanted>
  void CollectFattest(size_t share, Wanted&& wanted);
  Fat TakeFattest();
  size_t ShareOf(size_t limit) const;
  void PauseFattest(size_t excess);
  void ResumePaused();
  void AbortFattest(size_t excess);
  void ReleaseHeldBack();
  void WatchPaused();
  size_t memory_soft_;
  size_t memory_hard_;
  size_t held_input_bytes_ = 0;   // remainders, and what sessions said
  size_t held_output_bytes_ = 0;  // what sessions said; the rest is in send_queues_
  size_t doomed_bytes_ = 0;
  size_t next_walk_at_ = 0;
  TimerId watch_timer_ = 0;
  TimePoint trimmed_at_ = 0;
  std::vector<SlabPlace> held_back_list_;  // until there is room again, or the turn ends
  std::vector<SlabPlace> paused_list_;     // until below soft
  std::vector<Fat> fattest_;               // scratch

  TimePoint publish_heap_at_ = 0;
  std::unique_ptr<Posted> posted_;
  std::unique_ptr<Report> report_;  // while one is being written
  int wake_fd_ = -1;
  uint64_t wake_value_ = 0;
  char control_bytes_[ControlPacket::kBytesMax] = {};

  std::vector<std::string> listener_keys_;  // ListenerKeys of the server
  uint32_t next_channel_ = 0;
  std::unique_ptr<HandoffGiver> giver_;                // while another worker takes over
  std::vector<std::unique_ptr<HandoffTaker>> takers_;  // one for each that gives
  std::unique_ptr<Orphan> orphan_;                     // while there is no master
  bool serving_ = false;
  bool stopping_ = false;
  bool retiring_ = false;
  uint32_t drain_slot_ = 0;  // the next to look at, once drain_timeout is over
  uint32_t drain_at_a_time_ = 0;
  uint32_t outbound_count_ = 0;
  uint32_t closes_in_flight_ = 0;
  uint32_t completions_last_turn_ = 0;
  uint32_t connections_peak_ = 0;  // since the last trim
  uint64_t log_lines_lost_ = 0;    // of this process, as published
};

}  // namespace ringmaster
