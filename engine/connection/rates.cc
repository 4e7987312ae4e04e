#include "engine/connection/connection.h"
#include "engine/limits/rate_buckets.h"
#include "engine/worker/worker.h"

// How often a peer may ask for something: only connections under a limit come here.

namespace ringmaster {

void Connection::UpdateRated() {
  request_rated_ = options_->request_rate.limited();
  message_rated_ = options_->message_rate.limited();
}

RateBuckets& Connection::Buckets() {
  if (rate_buckets_ == nullptr) rate_buckets_ = std::make_unique<RateBuckets>();
  return *rate_buckets_;
}

RateVerdict Connection::TakeRequest(const RateLimit& rate, const PeerAddress& client) {
  if (rate.limited()) {
    const RateVerdict verdict = Buckets().Take(rate, worker_->now());
    if (!verdict.allowed()) {
      worker_->counters().request_rate_limited.Add();
      return verdict;
    }
  }
  static_cast<void>(client);
  return {};
}

bool Connection::TakeMessageFromBucket() {
  const RateLimit& rate = options_->message_rate;
  if (rate.limited() && !Buckets().Take(rate, worker_->now()).allowed()) {
    worker_->counters().message_rate_limited.Add();
    return false;
  }
  return true;
}

}  // namespace ringmaster
