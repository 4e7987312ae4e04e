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
    pipeline_ = std::make_unique<Pipeline>(*this, connection);
    connection.SetBusy(true);
  }
  PendingExchange& slot = pipeline_->slots.emplace_back();
  slot.exchange = exchange;
  if (service_->access_log) {
    slot.method = exchange.method;
    slot.target = exchange.target;
    if (exchange.client != nullptr) slot.client = *exchange.client;
  }
  slot.exchange.method = slot.method;
  slot.exchange.target = slot.target;
  if (exchange.client != nullptr) slot.exchange.client = &slot.client;
  return slot;
}

Exchange& HttpSession::Place(Connection& connection, Exchange& exchange) {
  return IsFirst(exchange) ? exchange : Hold(connection, exchange).exchange;
}

char* HttpSession::Reserve(Connection& connection, Exchange& exchange, size_t bytes) {
  if (IsFirst(exchange)) return connection.ReserveOutput(bytes);
  PendingExchange& slot = *FindSlot(exchange.sequence);
  if (slot.bytes_held + bytes > connection.options().send_queue_bytes_max) return nullptr;
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
  slot.bytes_held += bytes;
}

bool HttpSession::SendShared(Connection& connection, Exchange& exchange, std::string_view bytes,
                             std::shared_ptr<const void> owner) {
  if (!IsFirst(exchange)) {
    OutputPiece& piece = FindSlot(exchange.sequence)->pieces.emplace_back();
    piece.shared = bytes;
    piece.owner = std::move(owner);
    return true;
  }
  const SendResult result = connection.SendShared(bytes, std::move(owner));
  if (result == SendResult::kQueued || result == SendResult::kAboveHigh) return true;
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
  if (result == SendResult::kQueued || result == SendResult::kAboveHigh) return true;
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
    if (piece.fd >= 0) {
      result = connection.SendFile(std::exchange(piece.fd, -1), piece.offset, piece.count);
    } else if (piece.owner != nullptr) {
      result = connection.SendShared(piece.shared, std::move(piece.owner));
    } else {
      result = connection.Send(piece.bytes);
    }
    if (result == SendResult::kFull || result == SendResult::kClosed) {
      BreakOff(connection);
      return false;
    }
  }
  slot.pieces.clear();
  slot.bytes_held = 0;
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

void HttpSession::CloseIfIdle(Connection& connection) {
  if (pipeline_ != nullptr || body_ != nullptr || !connection.open()) return;
  if (input_ended_) {
    connection.CloseAfterFlush(CloseReason::kPeerClosed);
  } else if (stopping_ && needed_bytes_ == 0 && !parser_.resuming() && !in_handler_) {
    connection.CloseAfterFlush(CloseReason::kServerStopping, Linger::kYes);
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
