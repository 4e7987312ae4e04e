#include <algorithm>
#include <cstdint>

#include "engine/connection/connection.h"
#include "engine/connection/remainder.h"
#include "engine/connection/send_queue.h"
#include "engine/worker/worker.h"

// What one connection holds, and what a worker that is short of memory does to it
// (worker/memory_limits.cc says to which).

namespace ringmaster {

void Connection::UpdateHeldBytes(size_t input_bytes, size_t output_bytes) {
  const auto input = static_cast<uint32_t>(std::min<size_t>(input_bytes, UINT32_MAX));
  const auto output = static_cast<uint32_t>(std::min<size_t>(output_bytes, UINT32_MAX));
  worker_->ChangeHeldInput(session_input_bytes_, input);
  worker_->ChangeHeldOutput(session_output_bytes_, output);
  session_input_bytes_ = input;
  session_output_bytes_ = output;
}

// Memory that comes back when this connection goes. A queue of the pool goes back to it.
size_t Connection::HeldBytes() const {
  size_t bytes = size_t{session_input_bytes_} + session_output_bytes_;
  if (remainder_ != nullptr) bytes += remainder_->held_bytes();
  if (queue_ != nullptr) {
    bytes += queue_->held_bytes();
    if (queue_->large()) bytes -= queue_->object_bytes();
  }
  return bytes;
}

void Connection::PauseForMemory() {
  memory_paused_ = true;
  worker_->counters().receive_paused_memory.Add();
  UpdateReceiving();
}

void Connection::ResumeFromMemory() {
  memory_paused_ = false;
  if (state_ != State::kOpen) return;
  // The peer could not send meanwhile: its body has its whole time again, and it was not idle.
  if (wait_ == Wait::kBody) RestartWait(Wait::kBody);
  last_activity_ = worker_->now();
  UpdateReceiving();
}

// At the end of a turn only: no call of the session is on the stack.
void Connection::AbortForMemory() {
  FreeRemainder();
  SetHeldBytes(0, 0);
  // The kernel may be reading from the queue: it goes with the last completion.
  doomed_ = true;
  worker_->Doom(HeldBytes());
  // Also for who was on its way out: what it had to send yet is lost for this.
  close_reason_ = CloseReason::kMemory;
  Abort(CloseReason::kMemory);
}

}  // namespace ringmaster
