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
#include "engine/protocol.h"

namespace ringmaster {

class SendQueue;
class Worker;
class Ring;
struct Completion;
struct Remainder;
struct UserData;

// What became of bytes given to Send.
enum class SendResult : uint8_t {
  kQueued,     // they leave at the end of this turn; not yet sent
  kAboveHigh,  // queued, and the queue is above its high watermark: hold back until OnDrained
  kFull,       // refused, nothing was queued: the queue would exceed send_queue_bytes_max
  kClosed,     // refused: the connection is closing
};

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
  Connection() = default;
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Unique in the server's life: worker index in the top 16 bits, then a sequence. Never reused.
  uint64_t id() const { return id_; }
  // Looked up at the first call (getpeername(2)).
  const PeerAddress& peer() const;
  Worker& worker() const { return *worker_; }
  const StreamOptions& options() const { return *options_; }
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

  // Copies `bytes`.
  SendResult Send(std::string_view bytes);
  // Queues `head` and `bytes` behind it, for framed messages. Copies both, unless `bytes` are a
  // large part of the input that is being delivered: then they are sent from where they were
  // received. `head` must not stand in that input. `front_is_consumed`: the caller is done with the
  // input right in front of `bytes` (their own header), so that `head` may be written there.
  SendResult SendMessage(std::string_view head, std::string_view bytes, bool front_is_consumed);
  // Queues `bytes` without copying them; `owner` keeps them alive until they were sent.
  SendResult SendShared(std::string_view bytes, std::shared_ptr<const void> owner);
  // Queues `bytes` of the open file `fd` from `offset`. Takes ownership of `fd`. The file is read
  // in pieces as the peer takes them; only the pieces count against the queue's bound. A file that
  // turns out shorter aborts the connection (its length was promised).
  SendResult SendFile(int fd, uint64_t offset, uint64_t bytes);
  // For encoders that write in place: room for `bytes` contiguous bytes at the end of the queue, or
  // nullptr (kFull, kClosed). Follow with CommitOutput(n), n <= bytes, before anything else.
  char* ReserveOutput(size_t bytes);
  void CommitOutput(size_t bytes);
  // Queued and not yet taken by the kernel, in-flight bytes included; file bytes not yet read
  // excluded.
  size_t output_bytes() const;

  // False: stop taking messages from the input. The connection is closing, PauseReceive was called,
  // or the output queue is above its high watermark.
  bool receiving() const { return state_ == State::kOpen && !receive_paused_ && !output_paused_; }

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
  // Other bounds from now on (another route, per-connection changes). Must outlive the connection.
  // A wait that is under way is bounded by its new timeout, counted from where it began; the
  // lifetime counts from the start of the connection. What is queued keeps its write timeout:
  // beginning another request neither spares a peer that deadline nor brings one.
  void SetOptions(const StreamOptions& options);
  // OnIdleProbe is called at half the read timeout without a byte received.
  void EnableIdleProbe() { idle_probe_ = true; }

  // -- Counting
  // --------------------------------------------------------------------------------------- A
  // request or message was given to a handler.
  void CountMessage();

  // -- Protocol change
  // -------------------------------------------------------------------------------- Puts `session`
  // in place of the current one, which is destroyed after it has returned from the engine's call;
  // OnClosed is not called on it. Unconsumed input goes to the new session.
  void ReplaceSession(std::unique_ptr<Session> session);

  // -- Closing
  // ---------------------------------------------------------------------------------------- No
  // more input is given to the session; what is queued is sent; then FIN. Bounded by timeouts.close
  // (and timeouts.write while output is stuck). The first reason given counts; only a deadline that
  // cuts a regular end (kLocal, kPeerClosed) short takes its place.
  void CloseAfterFlush(CloseReason reason, Linger linger = Linger::kNo);
  // At once: the queue is dropped. A peer that has not got everything sees a reset, never an end
  // that looks regular.
  void Abort(CloseReason reason);

 private:
  friend class Worker;
  friend class ConnectionTestPeer;
  enum class State : uint8_t { kFree, kConnecting, kOpen, kFlushing, kLingering, kClosing };

  // -- receive.cc
  void ArmReceive();
  void StopReceive();
  void OnReceive(const Completion& completion);
  void OnReceiveEnded(int32_t result);
  void Deliver(std::span<char> bytes);
  void OfferRemainder();
  size_t OfferToSession(std::span<char> bytes);
  void DeliverInputEnd();
  void UpdateReceiving();

  // -- send.cc
  bool CanQueue(size_t bytes, SendResult& refusal);
  bool LeaseFor(std::string_view bytes);
  SendQueue& Queue();
  SendResult AfterQueued();
  void FlushOutput();
  void SubmitFront(bool stuck);
  void OnSend(int32_t result);
  void OnFileRead(int32_t result);
  void OnOutputMoved();
  void ReleaseQueue();

  // -- deadlines.cc
  TimePoint ReadDeadline() const;
  TimePoint BodyRateDeadline() const;
  CloseReason ReadDeadlineReason() const;
  Duration WaitTimeout(Wait wait) const;
  void PullInReadDeadline();
  void OnReadDeadline();
  void OnUpdateTimeout(int32_t result);
  void Expire(CloseReason reason);
  void BoundLifetime();
  void OnLifetime();
  void BoundCloseByTimer();

  // -- close.cc
  void CutShort(CloseReason reason);
  void BeginClosing();
  void AfterFlushed();
  void NotifyClosed();
  void OnPeerError(int error);
  template <typename Call>
  void Guard(Call&& call);
  void OnHandlerException(const char* what);

  // -- outbound.cc
  void OnConnect(int32_t result);

  Ring& ring() const;
  UserData Tag(uint8_t operation) const;

  Worker* worker_ = nullptr;
  std::unique_ptr<Session> session_;
  const StreamOptions* options_ = nullptr;
  std::unique_ptr<SendQueue> queue_;  // while there is output
  Remainder* remainder_ = nullptr;    // input not yet consumed; owned; while there is some
  uint64_t id_ = 0;
  TimePoint opened_at_ = 0;
  TimePoint last_activity_ = 0;
  // Of the item that wait_ names; kNever while there is none.
  TimePoint item_deadline_ = kNever;
  // When it began, and bytes_received_ then: for the minimum rate of a body.
  TimePoint item_began_at_ = 0;
  uint64_t item_began_bytes_ = 0;
  // Of the linked timeout on the armed receive; kNever: none is linked.
  TimePoint armed_deadline_ = kNever;
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
  uint64_t message_count_ = 0;
  int fd_ = -1;
  uint32_t slot_ = 0;
  uint32_t generation_ = 0;
  // Operations in the kernel that name this slot. The slot is freed at 0, never before.
  uint16_t in_flight_ = 0;
  uint16_t deferred_stop_ : 1 = 0;  // OnStop waits for the first input
  uint16_t stop_told_ : 1 = 0;      // OnStop was called
  uint16_t receive_armed_ : 1 = 0;
  uint16_t receive_cancelled_ : 1 = 0;  // by us: its -ECANCELED is no timeout
  uint16_t send_stuck_ : 1 = 0;         // the send in flight waits for the peer to make room
  uint16_t send_in_flight_ : 1 = 0;     // the kernel reads the front of queue_
  uint16_t file_read_in_flight_ : 1 = 0;
  uint16_t flush_scheduled_ : 1 = 0;  // in the worker's list for the end of this turn
  uint16_t offer_scheduled_ : 1 = 0;
  uint16_t starved_ : 1 = 0;      // waits for a free receive buffer
  uint16_t input_ended_ : 1 = 0;  // the peer's FIN was seen
  uint16_t input_end_told_ : 1 = 0;
  uint16_t was_above_high_ : 1 = 0;
  uint16_t closed_told_ : 1 = 0;
  uint16_t probe_sent_ : 1 = 0;
  uint16_t listed_for_close_ : 1 = 0;
  uint16_t busy_ : 1 = 0;
  uint16_t has_lifetime_ : 1 = 0;  // the worker keeps a timer for it
  State state_ = State::kFree;
  CloseReason close_reason_ = CloseReason::kNone;
  Wait wait_ = Wait::kNone;
  Linger linger_ = Linger::kNo;
  bool receive_paused_ = false;  // PauseReceive
  bool output_paused_ = false;   // above the high watermark, not yet below the low one
  bool outbound_ = false;
  bool idle_probe_ = false;
  mutable PeerAddress peer_;
};

}  // namespace ringmaster
