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

// There is room again: the peer could not send meanwhile, so its body has its whole time again.
void Connection::ResumeFromMemory() {
  if (state_ == State::kOpen && wait_ == Wait::kBody) RestartWait(Wait::kBody);
  TryWithoutMemory();
}

// There is no room yet. Its time goes on.
void Connection::TryWithoutMemory() {
  memory_paused_ = false;
  if (state_ != State::kOpen) return;
  // It was not idle.
  last_activity_ = worker_->now();
  UpdateReceiving();
}

// At the end of a turn only: no call of the session is on the stack.
void Connection::AbortForMemory() {
  FreeRemainder();
  SetHeldBytes(0, 0);
  // Also for who was on its way out: what it had to send yet is lost for this.
  close_reason_ = CloseReason::kMemory;
  // Looks at the queue: a peer that has not got all of it must see a reset.
  Abort(CloseReason::kMemory);
  // While the kernel may be reading from the queue it stays, and goes with the last completion.
  if (!send_in_flight_ && !file_read_in_flight_) ReleaseQueue();
  doomed_ = true;
  worker_->Doom(HeldBytes());
}

}  // namespace ringmaster
