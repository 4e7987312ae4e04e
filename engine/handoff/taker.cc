#include "engine/handoff/taker.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/descriptor_passing.h"
#include "engine/base/log.h"
#include "engine/base/read_whole.h"
#include "engine/connection/operation.h"
#include "engine/handoff/batch.h"
#include "engine/handoff/giver.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/listener/door.h"
#include "engine/worker/worker.h"

namespace ringmaster {
namespace {

// How long a connection may stand still to be safe from this worker's death at another one.
constexpr Duration kWaitMax = std::chrono::milliseconds(20);

// Empty when it cannot be read.
std::string ReadStates(int fd) {
  try {
    return ReadWhole(fd, HandoffBatch::kBytesMax).value_or("");
  } catch (const std::bad_alloc&) {
    return {};
  }
}

}  // namespace

HandoffTaker::HandoffTaker(Worker& worker, UniqueFd channel, uint32_t number)
    : worker_(worker), channel_(std::move(channel)), number_(number) {
  worker_.ring().SubmitPoll(channel_.get(), UserData(kOperationHandoff, 0, number_));
}

HandoffTaker::~HandoffTaker() {
  if (timer_ != 0) worker_.CancelTimer(timer_);
  Abandon();
}

bool HandoffTaker::OnReadable() {
  // Who stops takes nothing more.
  if (worker_.stopping() && pending_.empty()) return false;
  ReceivedDescriptors message = ReceiveDescriptors(channel_.get(), HandoffBatch::kMessageBytesMax);
  if (message.ended) {
    // Without a word: its process has ended.
    Settle(std::string(pending_.size(), '\1'));
    BeginWaiting();
    return false;
  }
  if (!message.bytes.empty()) {
    const bool goes_on =
        pending_.empty() ? TakeBatch(std::move(message)) : OnDecided(message.bytes);
    if (!goes_on) {
      BeginWaiting();
      return false;
    }
  }
  worker_.ring().SubmitPoll(channel_.get(), UserData(kOperationHandoff, 0, number_));
  return true;
}

// False: what came makes no sense, and the channel is given up; the giver keeps what it has.
bool HandoffTaker::TakeBatch(ReceivedDescriptors batch) {
  StateReader header(batch.bytes);
  const uint64_t version = header.Unsigned();
  sequence_ = header.Unsigned();
  const uint64_t count = header.UnsignedUpTo(HandoffBatch::kConnectionsMax);
  more_ = header.Bool();
  if (!header.finished() || version != HandoffBatch::kVersion || batch.truncated ||
      batch.fds.size() != count + 1) {
    log::Get().warn("worker {} cannot take connections over: {}", worker_.index(),
                    batch.truncated ? "no descriptors are left" : "they are of another release");
    return false;
  }
  const std::string states = ReadStates(batch.fds[0].get());
  StateReader in(states);
  std::string mine(count, '\0');
  pending_.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const std::string_view state = in.Bytes();
    if (!in.ok()) break;
    Connection* const connection = Adopt(worker_, batch.fds[i + 1].get(), state);
    if (connection == nullptr) {
      worker_.counters().adoptions_refused.Add();
      continue;
    }
    batch.fds[i + 1].Release();
    mine[i] = 1;
    Count(worker_, *connection);
    pending_[i] = {connection, std::exchange(connection->state_, Connection::State::kFree)};
  }
  if (count == 0) return true;
  std::string answer;
  StateWriter out(answer);
  out.Unsigned(sequence_);
  out.Bytes(mine);
  // If the giver does not hear it any more, its last word is there already.
  static_cast<void>(SendDescriptors(channel_.get(), answer, {}));
  return true;
}

bool HandoffTaker::OnDecided(std::string_view message) {
  StateReader in(message);
  const uint64_t sequence = in.Unsigned();
  const std::string_view mine = in.Bytes();
  if (!in.finished() || sequence != sequence_ || mine.size() != pending_.size()) {
    log::Get().warn("worker {} does not understand what is handed over to it", worker_.index());
    Abandon();
    return false;
  }
  Settle(mine);
  return true;
}

void HandoffTaker::Settle(std::string_view mine) {
  // What an application does when it is told may reach this taker.
  const std::vector<Pending> decided = std::exchange(pending_, {});
  for (size_t i = 0; i < decided.size(); ++i) {
    Connection* const connection = decided[i].connection;
    if (connection == nullptr) continue;
    if (mine[i] != 1) {
      GiveBack(*connection);
      continue;
    }
    worker_.counters().connections_adopted.Add();
    // It comes home: its taker lived.
    if (worker_.giver_ != nullptr) worker_.giver_->ForgetGiven();
    connection->state_ = decided[i].state;
    waiting_.push_back({connection->slot_, connection->generation_});
  }
  if (!more_ || worker_.serving_ || worker_.stopping() || worker_.retiring_) {
    BeginWaiting();
  } else if (timer_ == 0) {
    timer_ = worker_.AddTimer(kWaitMax, Duration::zero(), [this] {
      timer_ = 0;
      BeginWaiting();
    });
  }
  if (worker_.stopping()) {
    worker_.TellStop(/*also_fresh=*/true);
  } else if (worker_.retiring_) {
    worker_.TellDraining(/*also_fresh=*/true);
  }
}

void HandoffTaker::BeginWaiting() {
  if (timer_ != 0) worker_.CancelTimer(std::exchange(timer_, 0));
  for (const SlabPlace& ref : std::exchange(waiting_, {})) {
    Connection* const connection = worker_.slab_.Get(ref);
    // An operator may have closed it.
    if (connection == nullptr || connection->state_ == Connection::State::kClosing) continue;
    connection->Arrive();
  }
}

// Until its giver lets go it is in both workers: a limit may be exceeded by nobody.
void HandoffTaker::Count(Worker& worker, Connection& connection) {
  connection.address_handle_ =
      worker.door().TakeOver(connection.listener_index_, connection.peer());
}

bool HandoffTaker::TakeAtOnce(Worker& worker, UniqueFd& fd, std::string_view state) {
  Connection* const connection = Adopt(worker, fd.get(), state);
  if (connection == nullptr) return false;
  fd.Release();
  Count(worker, *connection);
  worker.counters().connections_adopted.Add();
  connection->Arrive();
  return true;
}

void HandoffTaker::Abandon() {
  // What the giver decides from now on does not reach this worker, and the giver sees that.
  if (!pending_.empty()) ::shutdown(channel_.get(), SHUT_RDWR);
  for (const Pending& pending : std::exchange(pending_, {})) {
    if (pending.connection != nullptr) GiveBack(*pending.connection);
  }
}

void HandoffTaker::GiveBack(Connection& connection) {
  worker_.door().Leave(connection.listener_index_, connection.address_handle_);
  Drop(worker_, connection);
  for (const auto& listener : worker_.listeners_) listener->OnRoom();
}

Connection* HandoffTaker::Adopt(Worker& worker, int fd, std::string_view state) {
  StateReader in(state);
  const std::string_view key = in.Bytes();
  StateReader::Part stream = in.TakePart();
  StateReader::Part session = in.TakePart();
  const auto& keys = worker.listener_keys_;
  const auto listener = std::find(keys.begin(), keys.end(), key);
  if (!in.finished() || stream.version != HandoffBatch::kVersion ||
      session.version != HandoffBatch::kVersion || listener == keys.end()) {
    return nullptr;
  }
  const auto index = static_cast<uint16_t>(listener - keys.begin());
  const ListenerDefinition& definition = *worker.server_.listeners()[index];
  Connection* connection = nullptr;
  try {
    const auto [slot, generation, value] = worker.slab_.Allocate();
    connection = value;
    connection->worker_ = &worker;
    connection->options_ = &definition.stream;
    connection->fd_ = fd;
    connection->listener_index_ = index;
    connection->slot_ = slot;
    connection->generation_ = generation;
    connection->moving_ = true;
    worker.counters().connections_open.Add();
    if (connection->Load(stream.state) && stream.state.finished() &&
        worker.table_.Find(connection->id_) == nullptr) {
      connection->session_ = definition.protocol->Restore(*connection, session.state);
    }
    if (connection->session_ != nullptr) {
      worker.table_.Insert(connection->id_, {slot, generation});
      return connection;
    }
  } catch (const std::exception& exception) {
    log::Get().warn("a connection cannot be taken over: {}", exception.what());
  } catch (...) {
    worker.counters().handler_exceptions.Add();
  }
  if (connection == nullptr) return nullptr;
  connection->fd_ = -1;
  Drop(worker, *connection);
  return nullptr;
}

// As if it had never been here.
void HandoffTaker::Drop(Worker& worker, Connection& connection) {
  connection.session_.reset();
  connection.SetHeldBytes(0, 0);
  connection.FreeAll();
  if (connection.fd_ >= 0) {
    const auto* const place = worker.table_.Find(connection.id_);
    if (place != nullptr && place->slot == connection.slot_) worker.table_.Erase(connection.id_);
    ::close(connection.fd_);
  }
  worker.slab_.Free(connection.slot_);
  worker.counters().connections_open.Subtract();
}

}  // namespace ringmaster
