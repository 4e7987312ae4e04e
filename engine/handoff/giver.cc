#include "engine/handoff/giver.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/write_all.h"
#include "engine/connection/guard.h"
#include "engine/connection/operation.h"
#include "engine/handoff/batch.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/process/control_message.h"
#include "engine/worker/worker.h"

namespace ringmaster {
namespace {

// Slots looked at in one turn.
constexpr uint32_t kSlotsPerTurn = 1024;
// How often those are asked again that could not move.
constexpr Duration kAskAgain = std::chrono::milliseconds(100);

// A memfd with `bytes`; invalid without memory or descriptors.
UniqueFd InMemory(const std::string& bytes) {
  UniqueFd fd(::memfd_create("ringmaster-handoff", MFD_CLOEXEC));
  if (fd.valid() && !WriteAll(fd.get(), bytes)) fd.Reset();
  return fd;
}

}  // namespace

HandoffGiver::HandoffGiver(Worker& worker, UniqueFd channel, uint32_t number)
    : worker_(worker), channel_(std::move(channel)), number_(number) {
  worker_.ring().SubmitPoll(channel_.get(), UserData(kOperationHandoff, 0, number_));
}

HandoffGiver::~HandoffGiver() { End(); }

Connection* HandoffGiver::Find(const Ref& ref) const {
  return worker_.slab_.Get(ref.slot, ref.generation);
}

bool HandoffGiver::DoorClosed() const {
  const auto& listeners = worker_.listeners_;
  return std::all_of(listeners.begin(), listeners.end(),
                     [](const auto& listener) { return listener->stopped(); });
}

bool HandoffGiver::Hurries() const {
  if (!passing_ || !leaving_.empty() || !sent_.empty()) return false;
  return stage_ != Stage::kClosingDoor || DoorClosed();
}

void HandoffGiver::OnTurn() {
  if (stage_ == Stage::kEnded || !sent_.empty()) return;
  if (!leaving_.empty()) {
    if (AllStand()) SendBatch();
    return;
  }
  if (stage_ == Stage::kClosingDoor) {
    if (!DoorClosed()) return;
    stage_ = Stage::kLastPass;
    cursor_ = 0;
  }
  if (passing_) Collect();
}

void HandoffGiver::Collect() {
  const uint32_t end = std::min(worker_.slab_.slot_count(), cursor_ + kSlotsPerTurn);
  for (; cursor_ < end && leaving_.size() < HandoffBatch::kConnectionsMax; ++cursor_) {
    Connection* const connection = worker_.slab_.At(cursor_);
    if (connection == nullptr || connection->moving_ || !connection->CanMove()) continue;
    if (connection->open()) {
      connection->Guard([&] { connection->session_->OnHandoff(*connection); });
      if (!connection->CanMove()) continue;
    }
    leaving_.push_back({connection->slot_, connection->generation_});
    connection->BeginMove();
  }
  if (leaving_.empty() && cursor_ >= worker_.slab_.slot_count()) OnPassOver();
}

void HandoffGiver::OnPassOver() {
  switch (stage_) {
    case Stage::kFirstPass:
      stage_ = Stage::kClosingDoor;
      for (const auto& listener : worker_.listeners_) listener->Stop();
      break;
    case Stage::kLastPass:
      stage_ = Stage::kWatching;
      Report();
      Watch();
      break;
    default:
      passing_ = false;
  }
}

void HandoffGiver::Watch() {
  passing_ = false;
  timer_ = worker_.AddTimer(kAskAgain, kAskAgain, [this] {
    if (stage_ != Stage::kWatching || passing_) return;
    passing_ = true;
    cursor_ = 0;
  });
}

void HandoffGiver::Report() {
  if (std::exchange(reported_, true)) return;
  worker_.Answer(ControlMessage::kHandedOver, given_);
}

// Who has ended meanwhile is no longer in the list.
bool HandoffGiver::AllStand() {
  bool all = true;
  std::erase_if(leaving_, [&](const Ref& ref) {
    const Connection* const connection = Find(ref);
    if (connection == nullptr || connection->state_ == Connection::State::kClosing) return true;
    all = all && connection->Standing();
    return false;
  });
  return all;
}

void HandoffGiver::SendBatch() {
  std::string states;
  StateWriter out(states);
  std::vector<int> fds = {-1};  // the memfd
  size_t taken = 0;
  for (; taken < leaving_.size() && states.size() < HandoffBatch::kBytesUsual; ++taken) {
    Connection& connection = *Find(leaving_[taken]);
    // A handler may have begun something since.
    if (!connection.CanMove()) {
      connection.StayHere();
      continue;
    }
    std::string state;
    const size_t sent_before = sent_.size();
    StateWriter part(state);
    part.Bytes(worker_.listener_keys_[connection.listener_index_]);
    part.Part(HandoffBatch::kVersion, [&](StateWriter& of) { connection.Save(of); });
    connection.Guard([&] {
      part.Part(HandoffBatch::kVersion,
                [&](StateWriter& of) { connection.session_->Save(connection, of); });
      out.Bytes(state);
      sent_.push_back(leaving_[taken]);
      fds.push_back(connection.fd_);
    });
    if (sent_.size() == sent_before) connection.StayHere();  // its Save threw: it closes here
  }
  leaving_.erase(leaving_.begin(), leaving_.begin() + static_cast<std::ptrdiff_t>(taken));
  if (sent_.empty()) return;
  const UniqueFd memory = InMemory(states);
  fds[0] = memory.get();
  std::string message;
  StateWriter header(message);
  header.Unsigned(HandoffBatch::kVersion);
  header.Unsigned(++sequence_);
  header.Unsigned(sent_.size());
  if (memory.valid() && SendDescriptors(channel_.get(), message, fds)) return;
  log::Get().warn("worker {} cannot hand connections over; they stay", worker_.index());
  End();
}

void HandoffGiver::OnReadable() {
  if (stage_ == Stage::kEnded) return;
  const ReceivedDescriptors answer =
      ReceiveDescriptors(channel_.get(), HandoffBatch::kMessageBytesMax);
  if (answer.bytes.empty() && !answer.ended) {
    worker_.ring().SubmitPoll(channel_.get(), UserData(kOperationHandoff, 0, number_));
    return;
  }
  StateReader in(answer.bytes);
  const uint64_t sequence = in.Unsigned();
  const std::string_view mine = in.Bytes();
  if (answer.ended || !in.finished() || sequence != sequence_ || mine.size() != sent_.size()) {
    End();
    return;
  }
  for (size_t i = 0; i < sent_.size(); ++i) {
    Connection& connection = *Find(sent_[i]);
    if (mine[i] == 1) {
      ++given_;
      worker_.Depart(connection);
    } else {
      connection.stays_ = true;
      connection.StayHere();
    }
  }
  sent_.clear();
  worker_.ring().SubmitPoll(channel_.get(), UserData(kOperationHandoff, 0, number_));
}

void HandoffGiver::End() {
  if (stage_ == Stage::kEnded) return;
  stage_ = Stage::kEnded;
  passing_ = false;
  for (const std::vector<Ref>* refs : {&leaving_, &sent_}) {
    for (const Ref& ref : *refs) {
      if (Connection* const connection = Find(ref)) connection->StayHere();
    }
  }
  leaving_.clear();
  sent_.clear();
  if (timer_ != 0) worker_.CancelTimer(timer_);
  // The armed poll keeps the socket open; the other side shall see its end all the same.
  ::shutdown(channel_.get(), SHUT_RDWR);
  channel_.Reset();
  Report();
}

}  // namespace ringmaster
