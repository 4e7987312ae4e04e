#include "engine/worker/worker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/connection/guard.h"
#include "engine/connection/operation.h"
#include "engine/connection/own_bounds.h"
#include "engine/handoff/giver.h"
#include "engine/handoff/taker.h"
#include "engine/limits/shared_limits.h"
#include "engine/listener/door.h"
#include "engine/listener/farewell.h"
#include "engine/worker/connection_report.h"
#include "engine/worker/orphan.h"
#include "engine/worker/posted.h"

namespace ringmaster {
namespace {

// A connection that the limit of descriptors leaves no room for cannot be accepted; some are needed
// for files, outbound connections and logs.
constexpr uint32_t kDescriptorsKept = 64;

// 0 = no limit.
size_t LimitOf(uint64_t bytes) { return bytes == 0 ? SIZE_MAX : static_cast<size_t>(bytes); }

uint32_t ConnectionsMax(const ServerOptions& options) {
  if (options.worker_connections_max > 0) return options.worker_connections_max;
  const int64_t descriptors = sysconf(_SC_OPEN_MAX);
  return descriptors > 2 * kDescriptorsKept ? static_cast<uint32_t>(descriptors) - kDescriptorsKept
                                            : kDescriptorsKept;
}

uint32_t BacklogMax(const ServerDefinition& server) {
  int backlog = 1;
  for (const auto& listener : server.listeners()) backlog = std::max(backlog, listener->backlog);
  return static_cast<uint32_t>(backlog);
}

}  // namespace

Worker::Worker(ServerDefinition& server, const WorkerEnvironment& environment,
               std::unique_ptr<Ring> ring)
    : server_(server),
      environment_(environment),
      ring_(std::move(ring)),
      pulse_(environment.pulse == nullptr ? own_pulse_ : *environment.pulse),
      now_(ring_->Now()),
      connections_max_(ConnectionsMax(server.options)),
      gate_(server.options.queue_time_max, BacklogMax(server)),
      timings_(server.options.timings, *environment.counters),
      memory_soft_(LimitOf(server.options.buffered_bytes_soft)),
      memory_hard_(LimitOf(server.options.buffered_bytes_hard)),
      posted_(std::make_unique<Posted>()) {
  wake_fd_ = eventfd(0, EFD_CLOEXEC);
  CHECK(wake_fd_ >= 0);
  SharedLimits* limits = environment_.limits;
  if (limits == nullptr && SharedLimits::NeededBy(server_)) {
    absl::StatusOr<std::unique_ptr<SharedLimits>> own = SharedLimits::Create(server_, index() + 1);
    CHECK(own.ok());
    own_limits_ = *std::move(own);
    limits = own_limits_.get();
  }
  door_ = std::make_unique<Door>(*this, server_, limits);
  addresses_ = door_->addresses();
  farewell_ = std::make_unique<Farewell>(*this);
  listener_keys_ = ListenerKeys(server_);
  const auto& definitions = server_.listeners();
  for (const auto& [index, fd] : environment_.listening_sockets) {
    listeners_.push_back(std::make_unique<Listener>(*this, static_cast<uint32_t>(listeners_.size()),
                                                    index, fd, *definitions[index]));
  }
}

Worker::~Worker() {
  orphan_.reset();
  giver_.reset();
  takers_.clear();
  // The kernel lets go of everything before the memory it may write goes.
  ring_.reset();
  close(wake_fd_);
}

void Worker::Serve() {
  Resume();
  if (giver_ != nullptr) giver_->ForgetGiven();
}

void Worker::Resume() {
  if (stopping_ || retiring_) return;
  if (giver_ != nullptr) giver_->End();
  for (const auto& listener : listeners_) {
    if (serving_) {
      listener->Resume();
    } else {
      listener->Arm();
    }
  }
  serving_ = true;
  LetTakenBegin();
}

void Worker::Start() {
  now_ = ring_->Now();
  ArmWake();
  if (environment_.control_fd >= 0) ArmControl();
  if (!environment_.standby) Serve();
}

Connection* Worker::Find(uint64_t connection_id) {
  const SlabPlace* place = table_.Find(connection_id);
  return place == nullptr ? nullptr : slab_.Get(*place);
}

// A slot in the slab and its place in the table, both or none.
bool Worker::AllocatePlace(Slab<Connection>::Allocation& place) {
  try {
    place = slab_.Allocate();
  } catch (const std::bad_alloc&) {
    return false;
  }
  place.value->id_ = uint64_t{environment_.connection_prefix} << 48 | next_connection_sequence_;
  try {
    table_.Insert(place.value->id_, {place.slot, place.generation});
  } catch (const std::bad_alloc&) {
    slab_.Free(place.slot);
    return false;
  }
  ++next_connection_sequence_;
  return true;
}

void Worker::BoundLifetime(Connection& connection) {
  try {
    connection.FollowLifetime();
  } catch (const std::bad_alloc&) {
    connection.Abort(CloseReason::kNoMemory);
  }
}

Connection* Worker::NewConnection(const Arrival& arrival, Protocol& protocol,
                                  const StreamOptions& options) {
  Slab<Connection>::Allocation place;
  if (!AllocatePlace(place)) return nullptr;
  const auto [slot, generation, connection] = place;
  connection->worker_ = this;
  connection->options_ = &options;
  connection->opened_at_ = now_;
  connection->last_activity_ = now_;
  connection->fd_ = arrival.fd;
  connection->listener_index_ = arrival.listener;
  connection->address_handle_ = arrival.address;
  connection->peer_ = arrival.peer;
  connection->slot_ = slot;
  connection->generation_ = generation;
  connection->state_ = Connection::State::kOpen;
  connection->UpdateRated();
  counters().connections_open.Add();
  try {
    connection->session_ = protocol.NewSession(*connection);
  } catch (const std::exception& exception) {
    counters().handler_exceptions.Add();
  } catch (...) {
    counters().handler_exceptions.Add();
  }
  if (connection->session_ == nullptr) connection->Abort(CloseReason::kHandlerError);
  BoundLifetime(*connection);
  return connection;
}

Refusal Worker::ReaddressConnection(Connection& connection, const PeerAddress& client) {
  DCHECK(!connection.outbound_);
  const Refusal refusal =
      door_->Readdress(connection.listener_index_, connection.address_handle_, client);
  if (refusal == Refusal::kNone) connection.peer_ = client;
  return refusal;
}

bool Worker::LetsIn(const Connection& connection, const PeerAddress& client) {
  return connection.outbound_ || door_->LetsIn(connection.listener_index_, client);
}

void Worker::CloseDescriptor(int fd) {
  ++closes_in_flight_;
  ring_->SubmitClose(fd, UserData(kOperationClose, 0, static_cast<uint32_t>(fd)));
}

void Worker::AddAccepted(Listener& listener, const Arrival& arrival) {
  const ListenerDefinition& definition = listener.definition();
  Connection* const connection = NewConnection(arrival, *definition.protocol, definition.stream);
  if (connection == nullptr) {
    door_->Leave(arrival.listener, arrival.address);
    RefuseForMemory(arrival.fd);
    return;
  }
  counters().connections_accepted.Add();
  if (!connection->open()) return;
  connection->SetWait(Wait::kHandshake);
  if (stopping_) connection->deferred_stop_ = true;
  connection->ReceiveUnlinked(listener.unlinked_receives());
  connection->UpdateReceiving();
}

TimerId Worker::AddTimer(Duration delay, Duration period, absl::AnyInvocable<void()> callback) {
  // A callback that throws costs its own run, never the worker.
  auto guarded = [this, callback = std::move(callback)]() mutable {
    try {
      callback();
    } catch (const std::exception& exception) {
      counters().handler_exceptions.Add();
      log::Get().error("a timer threw: {}", exception.what());
    } catch (...) {
      counters().handler_exceptions.Add();
      log::Get().error("a timer threw");
    }
  };
  return timers_.Add(now_ + std::max<int64_t>(0, delay.count()), period, std::move(guarded));
}

bool Worker::CancelTimer(TimerId id) { return timers_.Cancel(id); }

}  // namespace ringmaster
