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
#include "engine/worker/worker.h"

namespace ringmaster {
namespace {

// Slots looked at in one turn.
constexpr uint32_t kSlotsPerTurn = 1024;
// What one of them needs that is idle.
constexpr size_t kStateBytesUsual = 160;
// How often those are asked again that could not move.
constexpr Duration kAskAgain = std::chrono::milliseconds(100);
// Connections that stand still are somebody's: a taker that a handler holds gives up its turn.
constexpr Duration kAnswerMax = std::chrono::seconds(5);
// How long behind its last pass the master may find the taker dead and put this worker in its place
// again.
constexpr Duration kKeptMax = std::chrono::seconds(1);

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

Connection* HandoffGiver::Find(const SlabPlace& ref) const { return worker_.slab_.Get(ref); }

bool HandoffGiver::DoorIsClosed() const {
  const auto& listeners = worker_.listeners_;
  return std::all_of(listeners.begin(), listeners.end(),
                     [](const auto& listener) { return listener->yielded(); });
}

bool HandoffGiver::Hurries() const {
  return Passing() && (stage_ != Stage::kClosingDoor || DoorIsClosed());
}

void HandoffGiver::OnTurn() {
  if (stage_ == Stage::kEnded || !sent_.empty()) return;
  if (!leaving_.empty()) {
    if (AllStand()) SendBatch();
    return;
  }
  if (stage_ == Stage::kClosingDoor) {
    if (!DoorIsClosed()) return;
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
      for (const auto& listener : worker_.listeners_) listener->Yield();
      break;
    case Stage::kLastPass:
      stage_ = Stage::kWatching;
      Report(ControlMessage::kHandedOver);
      Watch();
      break;
    default:
      passing_ = false;
  }
}

void HandoffGiver::Watch() {
  passing_ = false;
  kept_until_ = DeadlineAfter(worker_.now(), kKeptMax);
  timer_ = worker_.AddTimer(kAskAgain, kAskAgain, [this] {
    if (worker_.now() >= kept_until_) reserve_.Clear();
    if (stage_ != Stage::kWatching || passing_) return;
    passing_ = true;
    cursor_ = 0;
  });
}

void HandoffGiver::Report(ControlMessage message) {
  if (std::exchange(reported_, true)) return;
  worker_.Answer(message, given_);
}

// The master must not take it for done: the taker may have died with what it had.
void HandoffGiver::Break() {
  Report(ControlMessage::kHandoffBroken);
  End();
}

// Who has ended meanwhile is no longer in the list.
bool HandoffGiver::AllStand() {
  bool all = true;
  std::erase_if(leaving_, [&](const SlabPlace& ref) {
    const Connection* const connection = Find(ref);
    if (connection == nullptr || connection->state_ == Connection::State::kClosing) return true;
    all = all && connection->Standing();
    return false;
  });
  return all;
}

bool HandoffGiver::SaveTo(Worker& worker, Connection& connection, std::string& state) {
  StateWriter out(state);
  out.Bytes(worker.listener_keys_[connection.listener_index_]);
  out.Part(HandoffBatch::kVersion, [&](StateWriter& part) { connection.Save(part); });
  bool saved = false;
  connection.Guard([&] {
    out.Part(HandoffBatch::kVersion,
             [&](StateWriter& part) { connection.session_->Save(connection, part); });
    saved = true;
  });
  return saved;
}

void HandoffGiver::SendBatch() {
  states_.clear();
  states_.reserve(leaving_.size() * kStateBytesUsual);
  StateWriter out(states_);
  std::vector<int> fds = {-1};  // the memfd
  size_t taken = 0;
  for (; taken < leaving_.size() && states_.size() < HandoffBatch::kBytesUsual; ++taken) {
    Connection& connection = *Find(leaving_[taken]);
    const size_t begin = states_.size();
    bool saved = false;
    // A handler may have begun something since.
    if (connection.CanMove()) {
      out.Sized([&](StateWriter&) { saved = SaveTo(worker_, connection, states_); });
    }
    if (!saved) {
      states_.resize(begin);
      connection.StayHere();
      continue;
    }
    sent_.push_back({leaving_[taken], begin, states_.size()});
    fds.push_back(connection.fd_);
  }
  leaving_.erase(leaving_.begin(), leaving_.begin() + static_cast<std::ptrdiff_t>(taken));
  if (sent_.empty()) return;
  const UniqueFd memory = InMemory(states_);
  fds[0] = memory.get();
  std::string message;
  StateWriter header(message);
  header.Unsigned(HandoffBatch::kVersion);
  header.Unsigned(++sequence_);
  header.Unsigned(sent_.size());
  header.Bool(!leaving_.empty() || cursor_ < worker_.slab_.slot_count());
  if (!memory.valid() || !SendDescriptors(channel_.get(), message, fds)) {
    log::Get().warn("worker {} cannot hand connections over; they stay", worker_.index());
    End();
    return;
  }
  answer_timer_ = worker_.AddTimer(kAnswerMax, Duration::zero(), [this] {
    answer_timer_ = 0;
    log::Get().warn("worker {} hears nothing of the connections that it hands over; they stay",
                    worker_.index());
    End();
  });
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
    Break();
    return;
  }
  Decide(mine);
  if (stage_ == Stage::kEnded) return;
  worker_.ring().SubmitPoll(channel_.get(), UserData(kOperationHandoff, 0, number_));
}

// Whatever wanted something of it meanwhile, its state tells.
bool HandoffGiver::IsAsSent(const Sent& sent) const {
  Connection* const connection = Find(sent.ref);
  if (connection == nullptr || !connection->Standing() || !connection->CanMove()) return false;
  std::string state;
  state.reserve(sent.end - sent.begin);
  bool saved = false;
  StateWriter(state).Sized([&](StateWriter&) { saved = SaveTo(worker_, *connection, state); });
  return saved && state == std::string_view(states_).substr(sent.begin, sent.end - sent.begin);
}

void HandoffGiver::Decide(std::string_view wanted) {
  if (answer_timer_ != 0) worker_.CancelTimer(std::exchange(answer_timer_, 0));
  std::string yours(sent_.size(), '\0');
  for (size_t i = 0; i < sent_.size(); ++i) yours[i] = wanted[i] == 1 && IsAsSent(sent_[i]) ? 1 : 0;
  if (!SayWhose(yours)) {
    Break();
    return;
  }
  for (size_t i = 0; i < sent_.size(); ++i) {
    Connection* const connection = Find(sent_[i].ref);
    if (connection == nullptr) continue;
    if (yours[i] == 1) {
      Give(sent_[i], *connection);
    } else {
      connection->stays_ = wanted[i] != 1;
      connection->StayHere();
    }
  }
  sent_.clear();
}

void HandoffGiver::Give(const Sent& sent, Connection& connection) {
  ++given_;
  const uint64_t bytes_received = connection.bytes_received();
  const uint64_t bytes_sent = connection.bytes_sent();
  UniqueFd fd = worker_.Depart(connection);
  // A taker that serves already is as mortal as any worker.
  if (stage_ == Stage::kWatching) {
    worker_.CloseDescriptor(fd.Release());
    return;
  }
  StateReader state(std::string_view(states_).substr(sent.begin, sent.end - sent.begin));
  reserve_.Keep(std::move(fd), state.Bytes(), bytes_received, bytes_sent);
}

void HandoffGiver::TakeBack() {
  End();
  if (reserve_.empty()) return;
  const HandoffReserve::Result result = reserve_.TakeBack(worker_);
  log::Get().warn(
      "worker {} takes back {} connections of a worker that died; {} that it had begun to serve "
      "are lost",
      worker_.index(), result.taken, result.lost);
}

bool HandoffGiver::SayWhose(std::string_view yours) {
  std::string message;
  StateWriter out(message);
  out.Unsigned(sequence_);
  out.Bytes(yours);
  return SendDescriptors(channel_.get(), message, {});
}

void HandoffGiver::End() {
  if (stage_ == Stage::kEnded) return;
  stage_ = Stage::kEnded;
  passing_ = false;
  // Nobody hears it of a taker that is dead, and then nobody has to.
  if (!sent_.empty()) static_cast<void>(SayWhose(std::string(sent_.size(), '\0')));
  for (const Sent& sent : sent_) leaving_.push_back(sent.ref);
  for (const SlabPlace& ref : leaving_) {
    if (Connection* const connection = Find(ref)) connection->StayHere();
  }
  leaving_.clear();
  sent_.clear();
  if (timer_ != 0) worker_.CancelTimer(timer_);
  if (answer_timer_ != 0) worker_.CancelTimer(answer_timer_);
  // The armed poll keeps the socket open; the other side shall see its end all the same.
  ::shutdown(channel_.get(), SHUT_RDWR);
  channel_.Reset();
  Report(ControlMessage::kHandedOver);
}

}  // namespace ringmaster
