#include <algorithm>
#include <chrono>
#include <iterator>
#include <new>

#include "engine/base/check.h"
#include "engine/connection/connection.h"
#include "engine/connection/guard.h"
#include "engine/connection/operation.h"
#include "engine/connection/own_bounds.h"
#include "engine/connection/remainder.h"
#include "engine/connection/send_queue.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/ring/ring.h"
#include "engine/worker/worker.h"

// A connection that goes to another worker process. It stands still first: its receive is
// cancelled, which loses no byte, and a send that waits for its peer, too; what was received
// meanwhile is handled, what is queued stays queued. Then everything about it fits in a few bytes.
// Points in time are CLOCK_MONOTONIC, which all processes of a machine share.

namespace ringmaster {
namespace {

enum Flag : uint64_t {
  kInputEnded = 1 << 0,
  kInputEndTold = 1 << 1,
  kReceivePaused = 1 << 2,
  kOutputPaused = 1 << 3,
  kAboveHigh = 1 << 4,
  kWasAboveHigh = 1 << 5,
  kProbeSent = 1 << 6,
  kIdleProbe = 1 << 7,
  kStartedOver = 1 << 8,
  kOwnPolicy = 1 << 9,
  kFlagsEnd = 1 << 10,
};

// What another release wrote is checked: no sum of a point in time and a timeout overflows.
constexpr Duration kTimeoutMax = std::chrono::hours(24 * 365 * 100);

TimePoint TakePast(StateReader& in, TimePoint now) {
  return std::clamp<TimePoint>(in.Signed(), 0, now);
}
TimePoint TakeDeadline(StateReader& in) { return std::max<TimePoint>(in.Signed(), 0); }
Duration TakeTimeout(StateReader& in) {
  return std::clamp(Duration(in.Signed()), Duration::zero(), kTimeoutMax);
}

bool IsKnownFamily(uint64_t family) {
  return family == AF_UNSPEC || family == AF_UNIX || family == AF_INET || family == AF_INET6;
}

}  // namespace

bool Connection::CanMove() const {
  const bool living =
      state_ == State::kOpen || state_ == State::kFlushing || state_ == State::kLingering;
  if (!living || outbound_ || doomed_ || stays_ || busy_ || stop_told_ || deferred_stop_ ||
      session_ == nullptr) {
    return false;
  }
  // A descriptor of a file, or of memory that is short, is not a matter of bytes.
  if (file_read_in_flight_ || send_waits_for_memory_) return false;
  if (queue_ != nullptr && queue_->file_count() > 0) return false;
  // Its session is told something at the end of this turn.
  if (tell_high_ || goodbye_due_) return false;
  try {
    return session_->CanMove(*this);
  } catch (...) {
    return false;
  }
}

void Connection::BeginMove() {
  DCHECK(!moving_);
  moving_ = true;
  StopReceive();
  if (send_in_flight_ && send_stuck_ && !send_cancelled_) {
    send_cancelled_ = true;
    ++in_flight_;
    ring().SubmitCancel(Tag(kOperationSend), Tag(kOperationCancel));
  }
  if (queue_ != nullptr && !send_in_flight_) HoldOutput();
}

// What is queued stays there. Receive buffers are for those who receive.
void Connection::HoldOutput() {
  try {
    queue_->CopyLeased();
  } catch (const std::bad_alloc&) {
    OnNoMemory();
  }
}

void Connection::StayHere() {
  moving_ = false;
  if (state_ == State::kClosing) return;
  if (queue_ != nullptr && !flush_scheduled_) worker_->ScheduleFlush(*this);
  UpdateReceiving();
}

void Connection::Save(StateWriter& out) const {
  DCHECK(Standing());
  out.Unsigned(id_);
  out.Signed(opened_at_);
  out.Signed(last_activity_);
  out.Unsigned(bytes_received_);
  out.Unsigned(bytes_sent_);
  out.Unsigned(message_count_);
  out.Unsigned(static_cast<uint64_t>(state_));
  out.Unsigned(static_cast<uint64_t>(close_reason_));
  out.Bool(linger_ == Linger::kYes);
  out.Unsigned(static_cast<uint64_t>(wait_));
  out.Signed(item_began_at_);
  out.Unsigned(item_began_bytes_);
  uint64_t flags = 0;
  const auto set = [&flags](bool on, Flag flag) { flags |= on ? uint64_t{flag} : 0; };
  set(input_ended_, kInputEnded);
  set(input_end_told_, kInputEndTold);
  set(receive_paused_, kReceivePaused);
  set(output_paused_, kOutputPaused);
  set(above_high_, kAboveHigh);
  set(was_above_high_, kWasAboveHigh);
  set(probe_sent_, kProbeSent);
  set(idle_probe_, kIdleProbe);
  set(started_over_, kStartedOver);
  set(own_policy_, kOwnPolicy);
  out.Unsigned(flags);
  out.Unsigned(static_cast<uint64_t>(policy_));
  out.Unsigned(peer_.family);
  out.Unsigned(peer_.port);
  out.Bytes({reinterpret_cast<const char*>(peer_.bytes), sizeof(peer_.bytes)});
  const uint32_t timeouts_set = own_ == nullptr ? 0 : own_->timeouts_set;
  out.Unsigned(timeouts_set);
  for (size_t i = 0; i < std::size(kTimeoutMembers); ++i) {
    if ((timeouts_set >> i & 1) == 0) continue;
    out.Signed((own_->options->timeouts.*kTimeoutMembers[i]).count());
  }
  out.Signed(own_ == nullptr ? kNever : own_->goodbye_deadline);
  out.Bytes(remainder_ == nullptr
                ? std::string_view()
                : std::string_view(remainder_->span().data(), remainder_->span().size()));
  out.Signed(queue_ == nullptr ? 0 : queue_->write_timeout.count());
  out.Signed(queue_ == nullptr ? 0 : queue_->write_deadline);
  out.Unsigned(output_bytes());
  if (queue_ != nullptr) queue_->CopyTo(out.appended());
}

bool Connection::Load(StateReader& in) {
  DCHECK(moving_);
  const TimePoint now = worker_->now();
  id_ = in.Unsigned();
  opened_at_ = TakePast(in, now);
  last_activity_ = TakePast(in, now);
  bytes_received_ = in.Unsigned();
  bytes_sent_ = in.Unsigned();
  message_count_ = in.Unsigned();
  const auto state = static_cast<State>(in.UnsignedUpTo(static_cast<uint64_t>(State::kLingering)));
  close_reason_ = static_cast<CloseReason>(in.UnsignedUpTo(kCloseReasonCount - 1));
  linger_ = in.Bool() ? Linger::kYes : Linger::kNo;
  wait_ = static_cast<Wait>(in.UnsignedUpTo(static_cast<uint64_t>(Wait::kClose)));
  item_began_at_ = TakePast(in, now);
  item_began_bytes_ = std::min(in.Unsigned(), bytes_received_);
  const uint64_t flags = in.UnsignedUpTo(kFlagsEnd - 1);
  policy_ =
      static_cast<SendQueuePolicy>(in.UnsignedUpTo(static_cast<uint64_t>(SendQueuePolicy::kClose)));
  const uint64_t family = in.UnsignedUpTo(UINT16_MAX);
  peer_.port = static_cast<uint16_t>(in.UnsignedUpTo(UINT16_MAX));
  const std::string_view address = in.Bytes();
  const uint64_t timeouts_set = in.UnsignedUpTo((uint64_t{1} << std::size(kTimeoutMembers)) - 1);
  Duration timeouts[std::size(kTimeoutMembers)] = {};
  for (size_t i = 0; i < std::size(kTimeoutMembers); ++i) {
    if ((timeouts_set >> i & 1) != 0) timeouts[i] = TakeTimeout(in);
  }
  const TimePoint goodbye_deadline = TakeDeadline(in);
  const std::string_view input = in.Bytes();
  const Duration write_timeout = TakeTimeout(in);
  const TimePoint write_deadline = TakeDeadline(in);
  const std::string_view output = in.Bytes();
  const bool known_state =
      state == State::kOpen || state == State::kFlushing || state == State::kLingering;
  const bool closing = close_reason_ != CloseReason::kNone;
  if (!in.ok() || !known_state || (state == State::kOpen) == closing || id_ == 0 ||
      (state == State::kLingering && wait_ != Wait::kClose) || !IsKnownFamily(family) ||
      address.size() != sizeof(peer_.bytes) || input.size() > UINT32_MAX) {
    return false;
  }
  state_ = state;
  peer_.family = static_cast<uint16_t>(family);
  std::copy(address.begin(), address.end(), reinterpret_cast<char*>(peer_.bytes));
  input_ended_ = (flags & kInputEnded) != 0;
  input_end_told_ = (flags & kInputEndTold) != 0;
  receive_paused_ = (flags & kReceivePaused) != 0;
  output_paused_ = (flags & kOutputPaused) != 0 && !output.empty();
  above_high_ = (flags & kAboveHigh) != 0 && !output.empty();
  was_above_high_ = (flags & kWasAboveHigh) != 0;
  probe_sent_ = (flags & kProbeSent) != 0;
  idle_probe_ = (flags & kIdleProbe) != 0;
  started_over_ = (flags & kStartedOver) != 0;
  own_policy_ = (flags & kOwnPolicy) != 0;
  for (size_t i = 0; i < std::size(kTimeoutMembers); ++i) {
    if ((timeouts_set >> i & 1) != 0) SetTimeout(kTimeoutMembers[i], timeouts[i]);
  }
  if (goodbye_deadline != kNever) Own().goodbye_deadline = goodbye_deadline;
  if (!input.empty() && !Keep(input)) return false;
  if (!output.empty()) {
    SendQueue& queue = Queue();
    std::copy(output.begin(), output.end(), queue.Reserve(output.size()));
    queue.Commit(output.size());
    queue.write_timeout = write_timeout;
    queue.write_deadline = write_deadline;
  }
  return true;
}

// Bounds that its new session may have set count from where the old ones did.
void Connection::Arrive() {
  moving_ = false;
  if (wait_ != Wait::kNone) item_deadline_ = DeadlineAfter(item_began_at_, WaitTimeout(wait_));
  UpdateRated();
  try {
    FollowLifetime();
    if (own_ != nullptr) ArmOwnTimer();
  } catch (const std::bad_alloc&) {
    OnNoMemory();
    return;
  }
  Guard([&] { session_->OnAdopted(*this); });
  if (state_ == State::kClosing) return;
  if (!flush_scheduled_) worker_->ScheduleFlush(*this);
  if (state_ == State::kOpen && !offer_scheduled_ &&
      (remainder_ != nullptr || (input_ended_ && !input_end_told_))) {
    worker_->ScheduleOffer(*this);
  }
  if (wait_ == Wait::kClose && !WantsReceive()) BoundCloseByTimer();
  UpdateReceiving();
}

}  // namespace ringmaster
