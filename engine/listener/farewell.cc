#include "engine/listener/farewell.h"

#include <sys/socket.h>

#include "engine/connection/operation.h"
#include "engine/ring/ring.h"
#include "engine/worker/worker.h"

namespace ringmaster {

void Farewell::Say(int fd, std::string_view goodbye) {
  // Its own send buffer is empty: the goodbye fits, or the peer is gone.
  if (goodbye.empty() || !worker_.ring().SendNow(fd, goodbye) || hurried_ ||
      lingering_count_ == kLingeringMax) {
    Close(fd);
    return;
  }
  worker_.ring().Shutdown(fd, SHUT_WR);
  if (discarded_ == nullptr) discarded_ = std::make_unique<std::array<char, 4096>>();
  if (free_places_.empty()) {
    free_places_.push_back(static_cast<uint32_t>(places_.size()));
    places_.emplace_back();
  }
  const uint32_t place = free_places_.back();
  free_places_.pop_back();
  places_[place] = {fd, 0, next_serial_++};
  ++lingering_count_;
  deadlines_.push_back({worker_.now() + kLinger.count(), place, places_[place].serial});
  SubmitDiscard(place);
  WaitForDeadline();
}

void Farewell::SubmitDiscard(uint32_t place) {
  worker_.ring().SubmitRead(places_[place].fd, discarded_->data(), discarded_->size(), 0,
                            UserData(kOperationDiscard, 0, place));
}

void Farewell::OnDiscard(uint32_t place, int32_t result) {
  Place& guest = places_[place];
  if (result > 0) {
    guest.discarded_bytes += static_cast<uint32_t>(result);
    if (guest.discarded_bytes < kDiscardedBytesMax && !hurried_) {
      SubmitDiscard(place);
      return;
    }
  }
  Close(guest.fd);
  guest = {};
  free_places_.push_back(place);
  --lingering_count_;
}

void Farewell::Close(int fd) { worker_.CloseDescriptor(fd); }

void Farewell::WaitForDeadline() {
  if (timer_set_ || deadlines_.empty()) return;
  timer_set_ = true;
  worker_.AddTimer(Duration(deadlines_.front().at - worker_.now()), Duration::zero(),
                   [this] { OnDeadline(); });
}

void Farewell::OnDeadline() {
  timer_set_ = false;
  while (!deadlines_.empty() && deadlines_.front().at <= worker_.now()) {
    const Deadline& deadline = deadlines_.front();
    const Place& guest = places_[deadline.place];
    // Its read completes with 0; the descriptor is closed then.
    if (guest.serial == deadline.serial) worker_.ring().Shutdown(guest.fd, SHUT_RDWR);
    deadlines_.pop_front();
  }
  WaitForDeadline();
}

void Farewell::Hurry() {
  hurried_ = true;
  for (const Place& guest : places_) {
    if (guest.fd >= 0) worker_.ring().Shutdown(guest.fd, SHUT_RDWR);
  }
}

}  // namespace ringmaster
