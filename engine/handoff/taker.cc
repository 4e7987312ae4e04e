#include "engine/handoff/taker.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "engine/base/descriptor_passing.h"
#include "engine/base/log.h"
#include "engine/connection/connection.h"
#include "engine/connection/operation.h"
#include "engine/handoff/batch.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/listener/door.h"
#include "engine/worker/worker.h"

namespace ringmaster {
namespace {

// Empty when it cannot be read.
std::string ReadStates(int fd) {
  struct stat file = {};
  if (::fstat(fd, &file) != 0 || static_cast<uint64_t>(file.st_size) > HandoffBatch::kBytesMax) {
    return {};
  }
  std::string states(static_cast<size_t>(file.st_size), '\0');
  size_t got = 0;
  while (got < states.size()) {
    const ssize_t bytes =
        ::pread(fd, states.data() + got, states.size() - got, static_cast<off_t>(got));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) return {};
    got += static_cast<size_t>(bytes);
  }
  return states;
}

}  // namespace

HandoffTaker::HandoffTaker(Worker& worker, UniqueFd channel, uint32_t number)
    : worker_(worker), channel_(std::move(channel)), number_(number) {
  worker_.ring().SubmitPoll(channel_.get(), UserData(kOperationHandoff, 0, number_));
}

bool HandoffTaker::OnReadable() {
  ReceivedDescriptors batch = ReceiveDescriptors(channel_.get(), HandoffBatch::kMessageBytesMax);
  if (batch.ended) return false;
  if (!batch.bytes.empty() && !TakeBatch(std::move(batch))) return false;
  worker_.ring().SubmitPoll(channel_.get(), UserData(kOperationHandoff, 0, number_));
  return true;
}

// False: what came makes no sense, and the channel is given up; the giver keeps what it has.
bool HandoffTaker::TakeBatch(ReceivedDescriptors batch) {
  StateReader header(batch.bytes);
  const uint64_t version = header.Unsigned();
  const uint64_t sequence = header.Unsigned();
  const uint64_t count = header.UnsignedUpTo(HandoffBatch::kConnectionsMax);
  if (!header.finished() || version != HandoffBatch::kVersion || batch.truncated ||
      batch.fds.size() != count + 1) {
    log::Get().warn("worker {} cannot take connections over: {}", worker_.index(),
                    batch.truncated ? "no descriptors are left" : "they are of another release");
    return false;
  }
  const std::string states = ReadStates(batch.fds[0].get());
  StateReader in(states);
  std::vector<Connection*> taken(count);
  std::string mine(count, '\0');
  for (size_t i = 0; i < count; ++i) {
    const std::string_view state = in.Bytes();
    if (!in.ok()) break;
    taken[i] = Adopt(worker_, batch.fds[i + 1].get(), state);
    if (taken[i] == nullptr) {
      worker_.counters().adoptions_refused.Add();
      continue;
    }
    batch.fds[i + 1].Release();
    mine[i] = 1;
  }
  std::string answer;
  StateWriter out(answer);
  out.Unsigned(sequence);
  out.Bytes(mine);
  // A giver that has died meanwhile touches nothing any more: what it gave is ours all the more.
  const bool told = SendDescriptors(channel_.get(), answer, {});
  const bool ours = told || errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN;
  for (Connection* const connection : taken) {
    if (connection == nullptr) continue;
    if (!ours) {
      Drop(worker_, *connection);
      continue;
    }
    worker_.counters().connections_adopted.Add();
    connection->address_handle_ =
        worker_.door().TakeOver(connection->listener_index_, connection->peer());
    connection->Arrive();
  }
  return told;
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
  connection.ReleaseQueue();
  connection.FreeRemainder();
  connection.CancelOwnTimer();
  if (connection.fd_ >= 0) {
    const auto* const place = worker.table_.Find(connection.id_);
    if (place != nullptr && place->slot == connection.slot_) worker.table_.Erase(connection.id_);
    ::close(connection.fd_);
  }
  worker.slab_.Free(connection.slot_);
  worker.counters().connections_open.Subtract();
}

}  // namespace ringmaster
