#include <unistd.h>

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/connection/guard.h"
#include "engine/connection/operation.h"
#include "engine/connection/remainder.h"
#include "engine/handoff/giver.h"
#include "engine/handoff/taker.h"
#include "engine/listener/door.h"
#include "engine/listener/farewell.h"
#include "engine/worker/connection_report.h"
#include "engine/worker/posted.h"
#include "engine/worker/worker.h"

// One turn of the loop, in the order in which things happen.

namespace ringmaster {
namespace {

// The most completions to wait for, and for how long at most (kernel 6.12+; see bench/README.md).
constexpr uint32_t kBatchMax = 32;
constexpr uint32_t kBatchMicroseconds = 30;

}  // namespace

Ring::Wait Worker::NextWait() {
  Ring::Wait wait;
  if (TakeEverything(wait)) return wait;
  if (crowded_ || !offer_list_.empty() || !flush_list_.empty() || !close_list_.empty() ||
      close_list_incomplete_ || report_ != nullptr || (giver_ != nullptr && giver_->Hurries()) ||
      gate_.closed() || (!starved_list_.empty() && FreeBuffers() > 0)) {
    wait.completions_min = 0;
    return wait;
  }
  wait.deadline = timers_.NextDeadline();
  if (completions_last_turn_ >= kBusyCompletions) {
    wait.completions_min = std::min(completions_last_turn_, kBatchMax);
    wait.batch_microseconds = kBatchMicroseconds;
  }
  return wait;
}

bool Worker::Turn() {
  pulse_.turn_began_at.store(0, std::memory_order_relaxed);
  ring_->SubmitAndWait(NextWait());
  // The kernel copies an address when it takes the SQE.
  if (!connect_addresses_.empty() && ring_->AllSubmitted()) connect_addresses_.clear();
  now_ = ring_->Now();
  turn_output_bytes_ = 0;
  timings_.OnTurnBegan();
  pulse_.turn_began_at.store(now_, std::memory_order_relaxed);
  counters().loop_turns.Add();

  HandleCompletions();
  AskQueue();
  FollowGate();

  if (timers_.NextDeadline() <= now_) counters().timers_fired.Add(timers_.Run(now_));
  timings_.Interrupt();
  RearmStarved();
  OfferRemainders();
  FlushScheduled();
  EnforceMemoryLimits();
  ReleaseClosed();
  if (giver_ != nullptr) giver_->OnTurn();
  if (report_ != nullptr) ContinueReport();
  if (retiring_ && slab_.used_count() == outbound_count_ &&
      std::none_of(listeners_.begin(), listeners_.end(),
                   [](const auto& listener) { return listener->anybody_waits(); })) {
    Stop();
  }
  PublishFigures();
  timings_.OnTurnEnded();
  return !Stopped();
}

void Worker::Dispatch(const Completion& completion) {
  if (completion.user_data.operation() != kOperationReceive) timings_.Interrupt();
  switch (static_cast<Operation>(completion.user_data.operation())) {
    case kOperationAccept:
      listeners_[completion.user_data.slot()]->OnAccept(completion);
      break;
    case kOperationAcceptCancel:
      listeners_[completion.user_data.slot()]->OnCancelDone();
      break;
    case kOperationDiscard:
      farewell_->OnDiscard(completion.user_data.slot(), completion.result);
      break;
    case kOperationClose:
      CHECK(completion.result != -EBADF);
      --closes_in_flight_;
      break;
    case kOperationControl:
      OnControl(completion.result);
      break;
    case kOperationHandoff:
      OnHandoff(completion.user_data.slot());
      break;
    case kOperationOrphan:
      OnOrphan(completion);
      break;
    case kOperationWake:
      OnWake();
      break;
    default:
      DispatchToConnection(completion);
  }
}

void Worker::DispatchToConnection(const Completion& completion) {
  Connection* connection =
      slab_.Get({completion.user_data.slot(), completion.user_data.generation()});
  // A slot is freed only with nothing in flight, so a completion always finds its connection.
  CHECK(connection != nullptr);
  switch (static_cast<Operation>(completion.user_data.operation())) {
    case kOperationReceive:
      connection->OnReceive(completion);
      break;
    case kOperationSend:
      connection->OnSend(completion.result);
      break;
    case kOperationFileRead:
      connection->OnFileRead(completion.result);
      break;
    case kOperationConnect:
      connection->OnConnect(completion.result);
      break;
    case kOperationUpdateTimeout:
      connection->OnUpdateTimeout(completion.result);
      break;
    case kOperationCancel:
      --connection->in_flight_;
      break;
    default:
      CHECK(false);
  }
  if (connection->state_ == Connection::State::kClosing && connection->in_flight_ == 0) {
    ListForClose(*connection);
  }
}

uint32_t Worker::FreeBuffers() const { return ring_->BuffersAtHome() - backlog_.buffer_count(); }

// Receives that found no buffer: as many as there are free now, in their order, but who has sent
// nothing yet comes first. Arming one while none is free would fail at once and spin.
void Worker::RearmStarved() {
  if (starved_list_.empty()) return;
  uint32_t free = FreeBuffers();
  for (const bool arrivals : {true, false}) {
    std::erase_if(starved_list_, [&](const SlabPlace& ref) {
      Connection* connection = slab_.Get(ref);
      if (connection == nullptr) return true;
      if (free == 0 || (arrivals && connection->bytes_received_ > 0)) return false;
      --free;
      connection->starved_ = false;
      connection->UpdateReceiving();
      return true;
    });
  }
}

// Input that waited while its session was held back.
void Worker::OfferRemainders() {
  if (offer_list_.empty()) return;
  scratch_list_.swap(offer_list_);
  for (const SlabPlace& ref : scratch_list_) {
    Connection* connection = slab_.Get(ref);
    if (connection == nullptr) continue;
    connection->offer_scheduled_ = false;
    if (over_memory_limit()) [[unlikely]]
      HoldBack(*connection);
    if (connection->remainder_ != nullptr && connection->receiving()) connection->OfferRemainder();
    if (connection->input_ended_) connection->DeliverInputEnd();
  }
  scratch_list_.clear();
}

void Worker::FlushScheduled() {
  // By index: flushing may tell a session that it is drained, which may queue more for the next
  // turn.
  const size_t count = flush_list_.size();
  for (size_t i = 0; i < count; ++i) {
    const SlabPlace ref = flush_list_[i];
    if (Connection* connection = slab_.Get(ref)) connection->FlushOutput();
  }
  flush_list_.erase(flush_list_.begin(), flush_list_.begin() + static_cast<std::ptrdiff_t>(count));
}

void Worker::ReleaseClosed() {
  if (close_list_.empty() && !close_list_incomplete_) {
    retired_.clear();
    return;
  }
  const uint32_t before = slab_.used_count();
  while (!close_list_.empty()) {
    scratch_list_.swap(close_list_);
    for (const SlabPlace& ref : scratch_list_) {
      Connection* connection = slab_.Get(ref);
      if (connection == nullptr) continue;
      connection->listed_for_close_ = false;
      connection->NotifyClosed();
      if (connection->in_flight_ == 0) Release(*connection);
    }
    scratch_list_.clear();
  }
  if (close_list_incomplete_) ReleaseUnlisted();
  retired_.clear();
  connections_peak_ = std::max(connections_peak_, before);
  TrimMemoryAfterAFall();
}

void Worker::Release(Connection& connection) {
  DCHECK(connection.in_flight_ == 0 && !connection.receive_armed_ && !connection.send_in_flight_);
  if (connection.doomed_) doomed_bytes_ -= connection.HeldBytes();
  connection.FreeAll();
  if (connection.outbound_) --outbound_count_;
  if (!connection.outbound_) door_->Leave(connection.listener_index_, connection.address_handle_);
  counters().connections_closed.Add();
  CloseDescriptor(connection.fd_);
  FreePlace(connection);
}

void Worker::FreePlace(Connection& connection) {
  table_.Erase(connection.id_);
  slab_.Free(connection.slot_);
  counters().connections_open.Subtract();
  for (const auto& listener : listeners_) listener->OnRoom();
}

void Worker::PublishFigures() {
  // Differences: the counters live longer than this ring (SharedSlot).
  const Ring::Figures figures = ring_->figures();
  counters().ring_enters.Add(figures.enter_count - published_.enter_count);
  counters().ring_submissions.Add(figures.sqe_count - published_.sqe_count);
  counters().ring_overflows.Add(figures.cq_overflow_count - published_.cq_overflow_count);
  counters().ring_submissions_full.Add(figures.sq_full_count - published_.sq_full_count);
  published_ = figures;
  counters().ring_completions.Add(completions_last_turn_);
  counters().receive_buffers_in_use.Set(ring_->BufferCount() - ring_->BuffersAtHome());
  counters().slab_bytes.Set(slab_.mapped_bytes());
  counters().buffered_input_bytes.Set(held_input_bytes_);
  counters().buffered_output_bytes.Set(held_output_bytes_ + send_queues_.held_bytes());
  if (now_ >= publish_heap_at_) PublishHeap();
  const uint64_t lost = log::LinesLost();
  if (lost != log_lines_lost_) {
    counters().log_lines_lost.Add(lost - log_lines_lost_);
    log_lines_lost_ = lost;
  }
}

void Worker::ArmWake() {
  ring_->SubmitRead(wake_fd_, &wake_value_, sizeof(wake_value_), 0, UserData(kOperationWake, 0, 0));
}

void Worker::OnWake() {
  queue_probe_.Answered(now_);
  RunPosted();
  if (!Stopped()) ArmWake();
}

void Worker::Post(absl::AnyInvocable<void()> task) {
  {
    const std::lock_guard<std::mutex> lock(posted_->mutex);
    posted_->tasks.push_back(std::move(task));
  }
  Wake();
}

void Worker::Wake() {
  const uint64_t one = 1;
  CHECK(write(wake_fd_, &one, sizeof(one)) == sizeof(one));
}

void Worker::RunPosted() {
  std::vector<absl::AnyInvocable<void()>> tasks;
  {
    const std::lock_guard<std::mutex> lock(posted_->mutex);
    tasks.swap(posted_->tasks);
  }
  for (auto& task : tasks) {
    try {
      task();
    } catch (const std::exception& exception) {
      counters().handler_exceptions.Add();
      log::Get().error("a posted task threw: {}", exception.what());
    } catch (...) {
      counters().handler_exceptions.Add();
    }
  }
}

}  // namespace ringmaster
