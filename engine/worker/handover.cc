#include <algorithm>
#include <utility>

#include "engine/base/descriptor_passing.h"
#include "engine/base/log.h"
#include "engine/handoff/giver.h"
#include "engine/handoff/taker.h"
#include "engine/listener/door.h"
#include "engine/worker/worker.h"

// A worker that gives its connections to another, or takes those of another (engine/handoff).

namespace ringmaster {

// The master has sent the socket ahead of the message that speaks of it.
UniqueFd Worker::TakeFromInbox() {
  if (environment_.inbox_fd < 0) return UniqueFd();
  ReceivedDescriptors received = ReceiveDescriptors(environment_.inbox_fd, 16);
  if (received.fds.size() != 1) {
    log::Get().warn("worker {}: the master's descriptor did not come", index());
    return UniqueFd();
  }
  return std::move(received.fds[0]);
}

void Worker::BeginHandOver() {
  UniqueFd channel = TakeFromInbox();
  if (stopping_) return;
  if (!channel.valid()) {
    Answer(ControlMessage::kHandedOver, 0);
    return;
  }
  if (giver_ != nullptr) giver_->End();
  LetTakenBegin();
  giver_ = std::make_unique<HandoffGiver>(*this, std::move(channel), next_channel_++);
}

void Worker::BeginAdoption() {
  UniqueFd channel = TakeFromInbox();
  if (stopping_ || !channel.valid()) return;
  takers_.push_back(std::make_unique<HandoffTaker>(*this, std::move(channel), next_channel_++));
}

void Worker::OnHandoff(uint32_t channel) {
  if (giver_ != nullptr && giver_->number() == channel) {
    giver_->OnReadable();
    return;
  }
  const auto taker = std::find_if(takers_.begin(), takers_.end(), [channel](const auto& other) {
    return other->number() == channel;
  });
  if (taker != takers_.end() && !(*taker)->OnReadable()) takers_.erase(taker);
}

void Worker::TakeBack() {
  if (giver_ != nullptr && !stopping_) giver_->TakeBack();
  Serve();
}

void Worker::LetTakenBegin() {
  for (const auto& taker : takers_) taker->BeginWaiting();
}

UniqueFd Worker::Depart(Connection& connection) {
  counters().connections_handed_over.Add();
  UniqueFd fd(connection.fd_);
  Forget(connection);
  return fd;
}

void Worker::Forget(Connection& connection) {
  connection.session_.reset();
  connection.SetHeldBytes(0, 0);
  connection.FreeAll();
  door_->Leave(connection.listener_index_, connection.address_handle_);
  FreePlace(connection);
}

}  // namespace ringmaster
