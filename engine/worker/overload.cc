#include <utility>

#include "engine/connection/connection.h"
#include "engine/worker/worker.h"

// More is asked than can be done: what the worker does with QueueTimeGate's judgement.

namespace ringmaster {

// The first bytes of a connection are about to be delivered. False: it has waited too long, was
// told so and is on its way out.
bool Worker::AdmitFirstBytes(Connection& connection) {
  ++first_deliveries_;
  const bool busy = completions_last_turn_ >= kBusyCompletions || gate_.overloaded();
  if (connection.outbound_ || !busy || !gate_.WantsSample()) return true;
  const bool was_closed = gate_.closed();
  const QueueTimeGate::Verdict verdict =
      gate_.OnFirstDelivery(now_, ring_->SinceLastData(connection.fd_));
  if (gate_.closed() && !was_closed) {
    counters().accept_paused_overload.Add();
    for (const auto& listener : listeners_) listener->OnGate();
  }
  if (verdict == QueueTimeGate::Verdict::kServe) return true;
  counters().refused_queue_time.Add();
  const Protocol& protocol = *listeners_[connection.listener_index_]->definition().protocol;
  connection.Send(protocol.RefusalGoodbye());
  connection.CloseAfterFlush(CloseReason::kRefused, Linger::kYes);
  return false;
}

void Worker::FollowGate() {
  const uint32_t deliveries = std::exchange(first_deliveries_, 0);
  if (!gate_.overloaded()) return;
  const bool was_closed = gate_.closed();
  // Whatever else keeps it busy: everybody who was taken in has been served.
  gate_.OnTurn(now_, /*idle=*/deliveries == 0 && !queue_probe_.Late(now_));
  if (gate_.closed() != was_closed || !gate_.overloaded()) {
    for (const auto& listener : listeners_) listener->OnGate();
  }
}

}  // namespace ringmaster
