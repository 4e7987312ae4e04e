#include <algorithm>
#include <utility>

#include "engine/worker/worker.h"
#include "protocols/http/service/body_progress.h"
#include "protocols/http/service/http_session.h"
#include "protocols/http/service/service.h"

// The way out: answers leave in the order of their requests. Only the first unanswered exchange
// writes to the connection; what later ones produce waits in their slots. With no slot at all, the
// usual case, a response goes straight into the connection's output.

namespace ringmaster::http {

bool HttpSession::IsFirst(const Exchange& exchange) const {
  return pipeline_ == nullptr || &pipeline_->slots.front().exchange == &exchange;
}

PendingExchange* HttpSession::FindSlot(uint32_t sequence) {
  if (gone_ || pipeline_ == nullptr) return nullptr;
  // Sequences in the pipeline have no gap; unsigned, so that an older one is far beyond the end.
  const uint32_t index = sequence - pipeline_->slots.front().exchange.sequence;
  if (index >= pipeline_->slots.size()) return nullptr;
  PendingExchange& slot = pipeline_->slots[index];
  return slot.exchange.phase == Exchange::Phase::kDone ? nullptr : &slot;
}

PendingExchange& HttpSession::Hold(Connection& connection, Exchange& exchange) {
  if (PendingExchange* slot = FindSlot(exchange.sequence)) return *slot;
  if (pipeline_ == nullptr) {
    // A pipeline is never empty, also when there is no memory for its first slot.
    auto pipeline = std::make_unique<Pipeline>(*this, connection);
    pipeline->slots.emplace_back();
    pipeline_ = std::move(pipeline);
    connection.SetBusy(true);
  } else {
    pipeline_->slots.emplace_back();
  }
  PendingExchange& slot = pipeline_->slots.back();
  slot.exchange = exchange;
  if (service_->access_log) {
    slot.method = exchange.method;
    slot.target = exchange.target;
    if (exchange.client != nullptr) slot.client = *exchange.client;
  }
  slot.exchange.method = slot.method;
  slot.exchange.target = slot.target;
  if (exchange.client != nullptr) slot.exchange.client = &slot.client;
  // It is the slot's to answer from now on, and when the slot is gone it has been answered.
  exchange.phase = Exchange::Phase::kDone;
  return slot;
}

Exchange& HttpSession::Place(Connection& connection, Exchange& exchange) {
  return IsFirst(exchange) ? exchange : Hold(connection, exchange).exchange;
}

// What waits in slots counts with what is queued: together they stay below the bound of the queue.
bool HttpSession::MayHold(const Connection& connection, size_t bytes) const {
  if (pipeline_ == nullptr) return true;
  return connection.output_bytes() + pipeline_->bytes_held + bytes <=
         connection.options().send_queue_bytes_max;
}

void HttpSession::ChangeHeld(Connection& connection, size_t before, size_t after) {
  pipeline_->bytes_held += after - before;
  ReportHeld(connection);
}

char* HttpSession::Reserve(Connection& connection, Exchange& exchange, size_t bytes) {
  if (!MayHold(connection, bytes)) [[unlikely]] {
    connection.worker().counters().send_refused.Add();
    return nullptr;
  }
  if (IsFirst(exchange)) return connection.ReserveOutput(bytes);
  PendingExchange& slot = *FindSlot(exchange.sequence);
  if (slot.pieces.empty() || slot.pieces.back().owner != nullptr || slot.pieces.back().fd >= 0) {
    slot.pieces.emplace_back();
  }
  std::string& out = slot.pieces.back().bytes;
  out.resize(out.size() + bytes);
  return out.data() + out.size() - bytes;
}

void HttpSession::Commit(Connection& connection, Exchange& exchange, size_t reserved,
                         size_t bytes) {
  if (IsFirst(exchange)) {
    connection.CommitOutput(bytes);
    return;
  }
  PendingExchange& slot = *FindSlot(exchange.sequence);
  std::string& out = slot.pieces.back().bytes;
  out.resize(out.size() - (reserved - bytes));
  ChangeHeld(connection, 0, bytes);
}

bool HttpSession::SendShared(Connection& connection, Exchange& exchange, std::string_view bytes,
                             std::shared_ptr<const void> owner) {
  if (!MayHold(connection, bytes.size())) {
    connection.worker().counters().send_refused.Add();
    BreakOff(connection);
    return false;
  }
  if (!IsFirst(exchange)) {
    OutputPiece& piece = FindSlot(exchange.sequence)->pieces.emplace_back();
    piece.shared = bytes;
    piece.owner = std::move(owner);
    ChangeHeld(connection, 0, bytes.size());
    return true;
  }
  const SendResult result = connection.SendShared(bytes, std::move(owner));
  if (Queued(result)) return true;
  BreakOff(connection);
  return false;
}

bool HttpSession::SendFile(Connection& connection, Exchange& exchange, OutputPiece file) {
  if (!IsFirst(exchange)) {
    FindSlot(exchange.sequence)->pieces.push_back(std::move(file));
    return true;
  }
  const SendResult result =
      connection.SendFile(std::exchange(file.fd, -1), file.offset, file.count);
  if (Queued(result)) return true;
  BreakOff(connection);
  return false;
}

void HttpSession::BreakOff(Connection& connection) {
  connection.Abort(CloseReason::kSendQueueFull);
}

void HttpSession::OnAnswered(Connection& connection, Exchange& exchange) {
  WorkerCounters& counters = connection.worker().counters();
  const HttpCounters& slots = service_->counter_slots();
  counters.protocol[slots.responses[exchange.status / 100]].Add();
  if (exchange.status >= 400) [[unlikely]] {
    if (const int slot = slots.RefusalSlot(exchange.status); slot >= 0)
      counters.protocol[slot].Add();
  }
  if (service_->access_log) [[unlikely]] {
    AccessRecord record;
    record.method = exchange.method.empty() ? "-" : exchange.method;
    record.target = exchange.target.empty() ? "-" : exchange.target;
    record.status = exchange.status;
    record.body_bytes = exchange.body_bytes;
    record.duration = Duration(connection.worker().now() - exchange.started_at);
    record.peer = &connection.peer();
    record.client = exchange.client != nullptr ? exchange.client : record.peer;
    service_->access_log(record);
  }
  // An exchange without a slot is finished by AfterHandler, which knows what stands behind it.
  if (pipeline_ != nullptr && IsFirst(exchange)) Advance(connection);
}

// Gives a slot whose turn has come what it produced while it waited.
bool HttpSession::EmitPieces(Connection& connection, PendingExchange& slot) {
  for (OutputPiece& piece : slot.pieces) {
    SendResult result;
    // From the slot to the queue: it counts once.
    ChangeHeld(connection, piece.bytes.size() + piece.shared.size(), 0);
    if (piece.fd >= 0) {
      result = connection.SendFile(std::exchange(piece.fd, -1), piece.offset, piece.count);
    } else if (piece.owner != nullptr) {
      result = connection.SendShared(piece.shared, std::move(piece.owner));
    } else {
      result = connection.Send(piece.bytes);
    }
    if (!Queued(result)) {
      BreakOff(connection);
      return false;
    }
  }
  slot.pieces.clear();
  return true;
}

void HttpSession::Advance(Connection& connection) {
  while (!pipeline_->slots.empty()) {
    PendingExchange& front = pipeline_->slots.front();
    if (!EmitPieces(connection, front)) return;
    if (front.exchange.phase != Exchange::Phase::kDone) break;
    // Taken out before it is destroyed: its callback may hold the PendingResponse that looks for
    // it.
    const PendingExchange done = std::move(front);
    pipeline_->slots.pop_front();
    if (done.exchange.close) {
      // Content that a streaming route did not want to read may still come.
      last_request_ = true;
      connection.CloseAfterFlush(CloseReason::kLocal, Linger::kYes);
      break;
    }
  }
  if (pipeline_->slots.empty()) {
    pipeline_.reset();
    ReportHeld(connection);
    connection.SetBusy(false);
    ReleaseInput(connection, kHoldBarrier);
    ReleaseInput(connection, kHoldPipeline);
    // Whoever paused its content and then answered does not want it; it is read past.
    ReleaseInput(connection, kHoldBody);
    CloseIfIdle(connection);
  } else if (pipeline_->slots.size() < service_->options().pipelined_requests_max) {
    ReleaseInput(connection, kHoldPipeline);
  }
}

// Content that is collected, answers that wait for their turn.
void HttpSession::ReportHeld(Connection& connection) {
  connection.SetHeldBytes(body_ == nullptr ? 0 : body_->held_bytes(),
                          pipeline_ == nullptr ? 0 : pipeline_->bytes_held);
}

void HttpSession::CloseIfIdle(Connection& connection) {
  if (pipeline_ != nullptr || body_ != nullptr || !connection.open()) return;
  if (input_ended_) {
    connection.CloseAfterFlush(CloseReason::kPeerClosed);
  } else if (stopping_ && needed_bytes_ == 0 && !parser_.resuming() && !in_handler_) {
    connection.CloseWhenQuiet(CloseReason::kServerStopping);
  }
}

void HttpSession::HoldInput(Connection& connection, HoldReason why) {
  held_ |= why;
  connection.PauseReceive();
}

void HttpSession::ReleaseInput(Connection& connection, HoldReason why) {
  if ((held_ & why) == 0) return;
  held_ &= static_cast<uint8_t>(~why);
  if (held_ == 0) connection.ResumeReceive();
}

void HttpSession::PauseBody(Connection& connection) { HoldInput(connection, kHoldBody); }
void HttpSession::ResumeBody(Connection& connection) { ReleaseInput(connection, kHoldBody); }

void HttpSession::OnDrained(Connection& connection) {
  if (pipeline_ == nullptr || pipeline_->slots.front().on_drained == nullptr) return;
  // Moved out for the call: it may finish the response, which destroys the slot.
  const uint32_t sequence = pipeline_->slots.front().exchange.sequence;
  absl::AnyInvocable<void()> callback = std::move(pipeline_->slots.front().on_drained);
  callback();
  PendingExchange* const slot = FindSlot(sequence);
  if (slot != nullptr && slot->on_drained == nullptr) slot->on_drained = std::move(callback);
}

}  // namespace ringmaster::http
