#include "engine/worker/queue_time_gate.h"

#include <algorithm>

namespace ringmaster {
namespace {

// Overload is over when the gate did not have to close for this long.
constexpr int64_t kCalm = kNanosecondsPerSecond;

}  // namespace

QueueTimeGate::QueueTimeGate(Duration queue_time_max, uint32_t backlog_max)
    : queue_time_max_(queue_time_max), backlog_max_(backlog_max), backlog_(backlog_max) {}

bool QueueTimeGate::WantsSample() {
  if (queue_time_max_.count() <= 0) return false;
  if (overloaded_) return true;
  if (--until_sample_ > 0) return false;
  until_sample_ = kSampleEvery;
  return true;
}

QueueTimeGate::Verdict QueueTimeGate::OnFirstDelivery(TimePoint now, Duration waited) {
  ++served_since_opened_;
  if (!closed_ && waited >= queue_time_max_ / 8) Close(now);
  // Few new ones: it is not they that keep the worker busy, and refusing them frees nothing.
  const bool many = served_since_opened_ > kBacklogMin;
  return many && waited > 2 * queue_time_max_ ? Verdict::kRefuse : Verdict::kServe;
}

void QueueTimeGate::OnTurn(TimePoint now, bool idle) {
  if (closed_) {
    // Not only when idle: other connections may keep the worker busy for ever, and the new ones
    // must not starve behind them.
    const Duration reopen_after = queue_time_max_ * 2 / 5;
    if (idle || now - closed_at_ >= reopen_after.count()) Open(now);
  } else if (overloaded_ && now - closed_at_ >= kCalm) {
    overloaded_ = false;
    backlog_ = backlog_max_;
  }
}

void QueueTimeGate::Close(TimePoint now) {
  closed_ = true;
  if (!overloaded_) {
    // Nothing is known yet of how many can be served: the first cycle measures it.
    overloaded_ = true;
    opened_at_ = now;
    served_since_opened_ = 0;
  }
  closed_at_ = now;
}

void QueueTimeGate::Open(TimePoint now) {
  const int64_t cycle = std::max<int64_t>(now - opened_at_, 1);
  const Duration target = queue_time_max_ / 5;
  const double served = static_cast<double>(served_since_opened_) *
                        static_cast<double>(target.count()) / static_cast<double>(cycle);
  backlog_ = std::clamp(static_cast<uint32_t>(std::min(served, 1e9)),
                        std::min(kBacklogMin, backlog_max_), backlog_max_);
  closed_ = false;
  opened_at_ = now;
  served_since_opened_ = 0;
}

}  // namespace ringmaster
