#include <new>

#include "engine/connection/connection.h"
#include "engine/connection/send_queue.h"
#include "engine/worker/worker.h"

// A send that failed because the kernel had no memory for it (ENOBUFS, ENOMEM). The socket may well
// be writable, so waiting for room would fail again at once, turn after turn. It is tried again a
// little later instead; the write timeout counts from the first failure until there is progress.

namespace ringmaster {
namespace {

// Long enough that failing costs nothing, short enough that one failure is not noticed.
constexpr Duration kRetryDelay = std::chrono::milliseconds(20);

}  // namespace

void Connection::RetrySendLater() {
  worker_->counters().send_no_memory.Add();
  const TimePoint now = worker_->now();
  if (queue_->failing_since() == kNever) queue_->set_failing_since(now);
  if (now >= DeadlineAfter(queue_->failing_since(), options_->timeouts.write)) {
    Abort(CloseReason::kWriteTimeout);
    return;
  }
  try {
    queue_->CopyLeased();
    worker_->AddTimer(kRetryDelay, Duration::zero(), [worker = worker_, id = id_] {
      if (Connection* connection = worker->Find(id)) connection->RetrySend();
    });
    send_waits_for_memory_ = true;
  } catch (const std::bad_alloc&) {
    OnNoMemory();
  }
}

void Connection::RetrySend() {
  send_waits_for_memory_ = false;
  FlushOutput();
}

}  // namespace ringmaster
