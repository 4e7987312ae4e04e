#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "engine/base/time.h"
#include "engine/connection/address.h"
#include "engine/connection/close_reason.h"
#include "engine/connection/stream_options.h"
#include "engine/limits/address_handle.h"
#include "engine/protocol.h"

namespace ringmaster {

class RateBuckets;
class SendQueue;
class UnlinkedReceives;
class Worker;
class Ring;
struct Completion;
struct ConnectionRecord;
struct OwnBounds;
struct RateVerdict;
struct Remainder;
struct UserData;

// What became of bytes given to Send. Those up to kDroppedOldest were queued.
enum class SendResult : uint8_t {
  kQueued,         // they leave at the end of this turn; not yet sent
  kAboveHigh,      // queued, and the queue is above its high watermark: hold back until OnDrained
  kDroppedOldest,  // a message was queued, and older ones were dropped to make room for it
  kFull,  // refused, nothing was queued: the queue would exceed send_queue_bytes_max. So is
          // what is larger than that, whatever the policy
  kDroppedNewest,  // this message was dropped: SendQueuePolicy::kDropNewest, or kDropOldest when
                   // what may still be dropped is not enough
  kClosed,         // refused: the connection is closing, perhaps by SendQueuePolicy::kClose
};
constexpr bool Queued(SendResult result) { return result <= SendResult::kDroppedOldest; }

// How CloseAfterFlush ends the receiving side.
enum class Linger : uint8_t {
  kNo,   // close as soon as the output has left: the peer owes us nothing
  kYes,  // FIN, then discard what still comes until the peer's FIN or timeouts.close. Without it,
         // bytes still on the way would make the kernel send RST, which can destroy our last
         // answer.
};

// One stream: its descriptor, its session, its queues and deadlines. Lives in a slab slot from
// accept to the last completion. Worker thread only. A reference is valid during a call from the
// engine; to keep a connection, keep id() and ask Worker::Find.
//
//            CloseAfterFlush            output empty             Abort, EOF, error
//   kOpen ───────────────────▶ kFlushing ────────────▶ kLingering ────────────▶ kClosing
//     │                            │                                               ▲   │ in_flight
//     == 0 └────────────────────────────┴───────────────────────────────────────────────┘   ▼
//                                       Abort, EOF, error                          slot freed
class Connection {
 public:
  Connection();
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Unique in the server's life: worker index in the top 16 bits, then a sequence. Never reused.
  uint64_t id() const { return id_; }
  // Looked up at the first call (getpeername(2)), unless the door has done so already; or whom
  // a proxy named (Worker::ReaddressConnection).
  const PeerAddress& peer() const;
  // The same, not kept: async-signal-safe, for a look at a connection from a signal handler.
  PeerAddress PeerNow() const;
  // Where worker().addresses() counts it; kNoAddressHandle where it does not.
  AddressHandle address_handle() const { return address_handle_; }
  Worker& worker() const { return *worker_; }
  // Its bounds as they are now, timeouts set from code included.
  const StreamOptions& options() const { return *options_; }
  // What SetOptions gave, without the timeouts that code set.
  const StreamOptions& shared_options() const;
  TimePoint opened_at() const { return opened_at_; }
  TimePoint last_activity() const { return last_activity_; }
  uint64_t bytes_received() const { return bytes_received_; }
  uint64_t bytes_sent() const { return bytes_sent_; }
  uint64_t message_count() const { return message_count_; }
  bool outbound() const { return outbound_; }
  // False once CloseAfterFlush or Abort was called, or the connection failed.
  bool open() const { return state_ == State::kOpen; }
  CloseReason close_reason() const { return close_reason_; }
  Session* session() const { return session_.get(); }

  // -- Output. Everything queued in one turn leaves in one send at its end, in order.
  // ----------------

  // Copies `bytes`. A part of a stream: never dropped. When there is no room for all of it, nothing
  // is queued (kFull), whatever the policy.
  SendResult Send(std::string_view bytes);
  // Queues one message, `head` and `bytes` behind it, whole or not at all; when there is no room
  // the policy decides. Copies both, unless `bytes` are a large part of the input that is being
  // delivered: then they are sent from where they were received. `head` must not stand in that
  // input. `front_is_consumed`: the caller is done with the input right in front of `bytes` (their
  // own header), so that `head` may be written there.
  SendResult SendMessage(std::string_view head, std::string_view bytes, bool front_is_consumed);
  // Copies `bytes`, a message of the protocol itself: never dropped, and no reason to drop others
  // or to close (kFull). `last`: a goodbye; kGoodbyeBytesMax of the queue are kept for it, so that
  // it fits a full one. It may also be sent during OnSendQueueFull.
  SendResult SendControl(std::string_view bytes, bool last = false);
  static constexpr size_t kGoodbyeBytesMax = 128;
  // Queues `bytes` without copying them; `owner` keeps them alive until they were sent.
  SendResult SendShared(std::string_view bytes, std::shared_ptr<const void> owner);
  // Queues `bytes` of the open file `fd` from `offset`. Takes ownership of `fd`. The file is read
  // in pieces as the peer takes them; room for one piece of each file counts against the queue's
  // bound. A file that turns out shorter aborts the connection (its length was promised).
  SendResult SendFile(int fd, uint64_t offset, uint64_t bytes);
  // For encoders that write in place: room for `bytes` contiguous bytes at the end of the queue, or
  // nullptr (kFull, kClosed). Follow with CommitOutput(n), n <= bytes, before anything else.
  char* ReserveOutput(size_t bytes);
  void CommitOutput(size_t bytes);
  // Queued and not yet taken by the kernel, in-flight bytes included; file bytes not yet read
  // excluded.
  size_t output_bytes() const;
  // What happens to a message when the queue is full: as the options say, until this is called.
  SendQueuePolicy send_queue_policy() const {
    return own_policy_ ? policy_ : options_->send_queue_policy;
  }
  void SetSendQueuePolicy(SendQueuePolicy policy) {
    policy_ = policy;
    own_policy_ = true;
  }

  // False: stop taking messages from the input. The connection is closing, PauseReceive was called,
  // the output queue is above its high watermark, or the worker is short of memory.
  bool receiving() const {
    return state_ == State::kOpen && !receive_paused_ && !output_paused_ && !held_back_;
  }

  // -- Memory
  // -----------------------------------------------------------------------------------------

  // What the session itself holds for this connection now: of its input (a message that is being
  // put together), of its output (answers that wait for their turn). Counts, with the engine's own
  // queues, against ServerOptions::buffered_bytes_*. Costs nothing while both stay 0.
  void SetHeldBytes(size_t input_bytes, size_t output_bytes) {
    if ((input_bytes | output_bytes | session_input_bytes_ | session_output_bytes_) != 0) {
      UpdateHeldBytes(input_bytes, output_bytes);
    }
  }

  // -- Input
  // ------------------------------------------------------------------------------------------

  // Stops calling OnInput (bytes wait in the kernel: the peer feels it) until ResumeReceive, which
  // offers what is left over from before first. Pauses by watermarks are the engine's own and
  // separate.
  void PauseReceive();
  void ResumeReceive();

  // -- Deadlines
  // --------------------------------------------------------------------------------------

  // An item (handshake, head, body, message) is incomplete: it must be complete within its timeout,
  // counted from the first call with this `wait`; calling again with the same one changes nothing,
  // so one byte a second extends nothing. ClearWait when it is complete, or none was begun.
  void SetWait(Wait wait);
  void ClearWait();
  // Restarts the wait for the next item of the same kind.
  void RestartWait(Wait wait) {
    ClearWait();
    SetWait(wait);
  }
  // While something received is being worked on (an answer that comes later), the peer has nothing
  // to say and the read timeout does not run; it starts anew when the work is done.
  void SetBusy(bool busy);
  // Other bounds from now on (another route). `options` outlive the connection. Timeouts that code
  // has set for this connection stay. A wait that is under way is bounded by its new timeout,
  // counted from where it began; the lifetime counts from the start of the connection. What is
  // queued keeps its write timeout: beginning another request neither spares a peer that deadline
  // nor brings one.
  void SetOptions(const StreamOptions& options);
  // Bounds of this connection alone, at any time; 0 = off. In force at once, also for what is
  // waited for already: an item's from its begin, read from the last activity, lifetime from the
  // accept; connect and write from the next such wait. They stay whatever route is served next.
  //
  //   peer.SetTimeout(&Timeouts::read, std::chrono::minutes(30));
  void SetTimeout(Duration Timeouts::*timeout, Duration duration);
  void SetTimeouts(const Timeouts& timeouts);
  // Those of the listener or route again.
  void ResetTimeouts();
  // OnIdleProbe is called at half the read timeout without a byte received.
  void EnableIdleProbe() { idle_probe_ = true; }

  // -- Counting
  // --------------------------------------------------------------------------------------- A
  // request or message was given to a handler.
  void CountMessage();

  // -- Rates. What is refused is counted. A protocol asks before it gives the handler anything.
  // -----------------------------------------------------------------------------------------

  // False: no rate bounds the requests (messages) of this connection; nothing needs to be asked.
  bool request_rated() const { return request_rated_; }
  bool message_rated() const { return message_rated_; }
  // One more request, of peer() or of `client`, for whom a trusted proxy made it. `rate` is
  // options().request_rate, or a route's own; its address names its bucket, so it must outlive the
  // connection.
  RateVerdict TakeRequest(const RateLimit& rate, const PeerAddress* client = nullptr);
  // One more message. False: above options().message_rate or above what the address may send; the
  // connection is to be closed with CloseReason::kMessageRate.
  bool TakeMessage() { return !message_rated_ || TakeMessageFromBuckets(); }

  // -- Protocol change
  // -------------------------------------------------------------------------------- Puts `session`
  // in place of the current one, which is destroyed after it has returned from the engine's call;
  // OnClosed is not called on it. Unconsumed input goes to the new session.
  void ReplaceSession(std::unique_ptr<Session> session);
  // The same for a session that knows nothing of what was received so far, as if the connection had
  // been accepted only now: the wait for its first byte begins, and a graceful stop lets it come.
  void StartOver(std::unique_ptr<Session> session);

  // -- Closing
  // ---------------------------------------------------------------------------------------- No
  // more input is given to the session; what is queued is sent; then FIN. Bounded by timeouts.close
  // (and timeouts.write while output is stuck). The first reason given counts; only a deadline that
  // cuts a regular end (kLocal, kPeerClosed) short takes its place.
  void CloseAfterFlush(CloseReason reason, Linger linger = Linger::kNo);
  // For a peer that owes us nothing but may ask for more: what has arrived by now is still
  // given to the session, which ends the connection itself with the answer; if nothing has,
  // CloseAfterFlush(reason, Linger::kYes).
  void CloseWhenQuiet(CloseReason reason);
  // At once: the queue is dropped. A peer that has not got everything sees a reset, never an end
  // that looks regular.
  void Abort(CloseReason reason);
  // By the operator, with CloseReason::kKilled: Session::OnKilled, and the end of it within
  // timeouts.close. One that is on its way out already is aborted.
  void Kill();

  // -- For listings
  // ----------------------------------------------------------------------------------------
  void Describe(ConnectionRecord& record) const;

 private:
  friend class Worker;
  friend class ConnectionTestPeer;
  friend class UnlinkedReceives;
  friend class HandoffGiver;
  friend class HandoffTaker;
  friend class HandoffTestPeer;
  enum class State : uint8_t { kFree, kConnecting, kOpen, kFlushing, kLingering, kClosing };

  // -- receive.cc
  bool WantsReceive() const;
  void SubmitReceive(TimePoint linked_deadline);
  void ArmReceive();
  void ReceiveUnlinked(UnlinkedReceives& unlinked);
  void StopReceive();
  void OnReceive(const Completion& completion);
  void OnReceiveEnded(int32_t result);
  void Deliver(std::span<char> bytes);
  void OfferRemainder();
  void FreeRemainder();
  size_t OfferToSession(std::span<char> bytes);
  bool Keep(std::span<const char> bytes);
  void DeliverInputEnd();
  void UpdateReceiving();

  // -- send.cc
  bool CanQueue(size_t bytes, SendResult& refusal);
  bool CanLease(std::string_view bytes) const;
  bool CanQueueMessage(size_t bytes, SendResult& result);
  bool MakeRoom(size_t bytes, size_t bytes_max, SendResult& result);
  void CloseForFullQueue();
  size_t bytes_bounded() const;
  SendQueue& Queue();
  SendResult AfterQueued();
  SendResult AfterMessageQueued(size_t bytes, SendResult result);
  void TellBackpressure();
  void SayGoodbye();
  void FlushOutput();
  void SubmitFront(bool stuck);
  void OnSend(int32_t result);
  void OnFileRead(int32_t result);
  void OnOutputMoved();
  void ReleaseQueue();
  // What it keeps of its input and its output, and its timer: it leaves its worker.
  void FreeAll();
  // -- send_retry.cc
  void RetrySendLater();
  void RetrySend();

  // -- deadlines.cc
  TimePoint ReadDeadline() const;
  TimePoint BodyRateDeadline() const;
  CloseReason ReadDeadlineReason() const;
  Duration WaitTimeout(Wait wait) const;
  void PullInReadDeadline();
  void LinkReadDeadline();
  void OnReadDeadline();
  void OnUpdateTimeout(int32_t result);
  CloseReason ItemDeadlineReason() const;
  void Expire(CloseReason reason);
  void BoundCloseByTimer();

  // -- memory.cc
  void UpdateHeldBytes(size_t input_bytes, size_t output_bytes);
  size_t HeldBytes() const;
  void PauseForMemory();
  void ResumeFromMemory();
  void TryWithoutMemory();
  void AbortForMemory();

  // -- own_bounds.cc
  OwnBounds& Own();
  Timeouts& OwnTimeouts();
  void MergeOwnTimeouts();
  void ApplyOwnTimeouts();
  void ApplyBounds();
  void FollowLifetime();
  void BoundGoodbye();
  void ArmOwnTimer();
  void CancelOwnTimer();
  void OnOwnTimer();

  // -- connection_record.cc
  struct NextDeadline {
    TimePoint at = kNever;
    CloseReason reason = CloseReason::kNone;
  };
  NextDeadline FindNextDeadline() const;

  // -- close.cc
  void LookWhetherQuiet();
  void CutShort(CloseReason reason);
  void BeginClosing();
  void AfterFlushed();
  void NotifyClosed();
  void OnNoMemory();
  void OnPeerError(int error);
  template <typename Call>
  void Guard(Call&& call);
  void OnHandlerException(const char* what);

  // -- move.cc: to another worker, see engine/handoff
  // Nothing but a call of the session away from standing still.
  bool CanMove() const;
  // Receives and sends no more; what is armed ends. Standing() follows in a later turn, unless the
  // connection ends.
  void BeginMove();
  bool Standing() const { return moving_ && in_flight_ == 0; }
  void HoldOutput();
  // It goes on here after all.
  void StayHere();
  void Save(StateWriter& out) const;
  // What Save wrote, but for the session; the slot is new. False: it makes no sense.
  bool Load(StateReader& in);
  // It is this worker's now: its session is told, what was held goes on.
  void Arrive();

  // -- rates.cc
  void UpdateRated();
  RateBuckets& Buckets();
  bool TakeMessageFromBuckets();

  // -- outbound.cc
  void OnConnect(int32_t result);

  // Accepted, and nothing has come yet of what it is there for.
  bool IsFresh() const { return bytes_received_ == 0 || started_over_; }
  Ring& ring() const;
  UserData Tag(uint8_t operation) const;

  Worker* worker_ = nullptr;
  std::unique_ptr<Session> session_;
  const StreamOptions* options_ = nullptr;
  std::unique_ptr<SendQueue> queue_;           // while there is output
  Remainder* remainder_ = nullptr;             // input not yet consumed; owned; while there is some
  std::unique_ptr<RateBuckets> rate_buckets_;  // once something was asked of a limited rate
  std::unique_ptr<OwnBounds> own_;
  uint64_t id_ = 0;
  TimePoint opened_at_ = 0;
  TimePoint last_activity_ = 0;
  // Of the item that wait_ names; kNever while there is none.
  TimePoint item_deadline_ = kNever;
  // When it began, and bytes_received_ then: for the minimum rate of a body.
  TimePoint item_began_at_ = 0;
  uint64_t item_began_bytes_ = 0;
  // Of the linked timeout on the armed receive; kNever: none is linked. While receive_unlinked_:
  // when it will be.
  TimePoint armed_deadline_ = kNever;
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
  uint64_t message_count_ = 0;
  int fd_ = -1;
  // SetHeldBytes; as much as a worker that is short of memory needs to know.
  uint32_t session_input_bytes_ = 0;
  uint32_t session_output_bytes_ = 0;
  uint32_t slot_ = 0;
  uint32_t generation_ = 0;
  AddressHandle address_handle_ = kNoAddressHandle;
  // Operations in the kernel that name this slot. The slot is freed at 0, never before.
  uint16_t in_flight_ = 0;
  uint16_t deferred_stop_ : 1 = 0;  // OnStop waits for the first input
  uint16_t stop_told_ : 1 = 0;      // OnStop was called
  uint16_t drain_told_ : 1 = 0;     // OnDrain was called
  uint16_t moving_ : 1 = 0;         // nothing is armed any more: BeginMove, or not yet Arrive
  uint16_t stays_ : 1 = 0;          // another worker could not take it
  uint16_t receive_armed_ : 1 = 0;
  uint16_t receive_unlinked_ : 1 = 0;   // UnlinkedReceives sees to its timeout
  uint16_t receive_cancelled_ : 1 = 0;  // by us: its -ECANCELED is no timeout
  uint16_t send_stuck_ : 1 = 0;         // the send in flight waits for the peer to make room
  uint16_t send_cancelled_ : 1 = 0;     // by us: its -ECANCELED is no timeout
  uint16_t send_in_flight_ : 1 = 0;     // the kernel reads the front of queue_
  uint16_t file_read_in_flight_ : 1 = 0;
  uint16_t send_waits_for_memory_ : 1 = 0;  // a timer tries it again
  uint16_t flush_scheduled_ : 1 = 0;        // in the worker's list for the end of this turn
  uint16_t offer_scheduled_ : 1 = 0;
  uint16_t starved_ : 1 = 0;      // waits for a free receive buffer
  uint16_t input_ended_ : 1 = 0;  // the peer's FIN was seen
  uint16_t input_end_told_ : 1 = 0;
  uint16_t was_above_high_ : 1 = 0;  // OnDrained is owed
  uint16_t above_high_ : 1 = 0;      // not yet below the low watermark
  uint16_t tell_high_ : 1 = 0;       // OnBackpressure is due at the end of this turn
  uint16_t goodbye_due_ : 1 = 0;     // OnSendQueueFull is due at the end of this turn
  uint16_t doomed_ : 1 = 0;          // closed for memory that it still holds
  uint16_t own_policy_ : 1 = 0;      // policy_ takes the place of the options'
  uint16_t closed_told_ : 1 = 0;
  uint16_t probe_sent_ : 1 = 0;
  uint16_t listed_for_close_ : 1 = 0;
  uint16_t busy_ : 1 = 0;
  uint16_t started_over_ : 1 = 0;   // StartOver was called, and no byte has come since
  uint16_t request_rated_ : 1 = 0;  // some limit bounds the rate of requests
  uint16_t message_rated_ : 1 = 0;
  State state_ = State::kFree;
  CloseReason close_reason_ = CloseReason::kNone;
  CloseReason quiet_reason_ = CloseReason::kNone;  // CloseWhenQuiet was called, and is not decided
  Wait wait_ = Wait::kNone;
  Linger linger_ = Linger::kNo;
  bool receive_paused_ = false;  // PauseReceive
  bool output_paused_ = false;   // above the high watermark, not yet below the low one
  // The worker holds too much for its connections, most of it for this one: nothing more is
  // received.
  bool memory_paused_ = false;
  bool held_back_ = false;  // nothing is handled to the end of the turn either: above hard
  bool outbound_ = false;
  bool idle_probe_ = false;
  SendQueuePolicy policy_ = SendQueuePolicy::kRefuse;
  uint16_t listener_index_ = 0;  // it came in through; not of an outbound one
  mutable PeerAddress peer_;
};

}  // namespace ringmaster
