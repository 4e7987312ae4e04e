#include "engine/connection/connection.h"
#include "engine/limits/address_table.h"
#include "engine/limits/rate_buckets.h"
#include "engine/worker/worker.h"

// How often a peer may ask for something: only connections under a limit come here.

namespace ringmaster {

void Connection::UpdateRated() {
  const AddressLimits& address = worker_->address_limits();
  request_rated_ = options_->request_rate.limited() || address.request_rate.limited();
  message_rated_ = options_->message_rate.limited() || address.message_rate.limited();
}

RateBuckets& Connection::Buckets() {
  if (rate_buckets_ == nullptr) rate_buckets_ = std::make_unique<RateBuckets>();
  return *rate_buckets_;
}

RateVerdict Connection::TakeRequest(const RateLimit& rate, const PeerAddress* client) {
  RateBuckets& buckets = Buckets();
  const TimePoint now = worker_->now();
  if (rate.limited()) {
    const Duration wait = buckets.Take(rate, now);
    if (wait > Duration::zero()) {
      worker_->counters().request_rate_limited.Add();
      return buckets.Judge(rate, wait);
    }
  }
  const RateLimit& by_address = worker_->address_limits().request_rate;
  AddressTable* const addresses = worker_->addresses();
  Duration wait = Duration::zero();
  if (addresses != nullptr && by_address.limited()) {
    wait = client != nullptr ? addresses->AllowRequest(*client, now)
                             : addresses->AllowRequest(address_handle_, now);
    if (wait > Duration::zero()) worker_->counters().address_request_rate_limited.Add();
  }
  return buckets.Judge(by_address, wait);
}

bool Connection::TakeMessageFromBuckets() {
  const RateLimit& rate = options_->message_rate;
  const TimePoint now = worker_->now();
  if (rate.limited() && Buckets().Take(rate, now) > Duration::zero()) {
    worker_->counters().message_rate_limited.Add();
    return false;
  }
  AddressTable* const addresses = worker_->addresses();
  if (addresses != nullptr && addresses->AllowMessage(address_handle_, now) > Duration::zero()) {
    worker_->counters().address_message_rate_limited.Add();
    return false;
  }
  return true;
}

}  // namespace ringmaster
