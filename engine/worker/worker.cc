#include "engine/worker/worker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/connection/guard.h"
#include "engine/connection/operation.h"
#include "engine/worker/posted.h"

namespace ringmaster {
namespace {

// A connection that the limit of descriptors leaves no room for cannot be accepted; some are needed
// for files, outbound connections and logs.
constexpr uint32_t kDescriptorsKept = 64;

uint32_t ConnectionsMax(const ServerOptions& options) {
  if (options.worker_connections_max > 0) return options.worker_connections_max;
  const int64_t descriptors = sysconf(_SC_OPEN_MAX);
  return descriptors > 2 * kDescriptorsKept ? static_cast<uint32_t>(descriptors) - kDescriptorsKept
                                            : kDescriptorsKept;
}

}  // namespace

Worker::Worker(ServerDefinition& server, const WorkerEnvironment& environment,
               std::unique_ptr<Ring> ring)
    : server_(server),
      environment_(environment),
      ring_(std::move(ring)),
      now_(ring_->Now()),
      connections_max_(ConnectionsMax(server.options)),
      posted_(std::make_unique<Posted>()) {
  wake_fd_ = eventfd(0, EFD_CLOEXEC);
  CHECK(wake_fd_ >= 0);
  const auto& definitions = server_.listeners();
  for (size_t i = 0; i < environment_.listening_fds.size(); ++i) {
    listeners_.push_back(std::make_unique<Listener>(
        *this, static_cast<uint32_t>(i), environment_.listening_fds[i], *definitions[i]));
  }
}

Worker::~Worker() {
  // The kernel lets go of everything before the memory it may write goes.
  ring_.reset();
  close(wake_fd_);
}

void Worker::Start() {
  now_ = ring_->Now();
  ArmWake();
  if (environment_.control_fd >= 0) ArmControl();
  for (const auto& listener : listeners_) listener->Arm();
}

Connection* Worker::Find(uint64_t connection_id) {
  const ConnectionTable::Place* place = table_.Find(connection_id);
  return place == nullptr ? nullptr : slab_.Get(place->slot, place->generation);
}

Connection& Worker::NewConnection(int fd, Protocol& protocol, const StreamOptions& options) {
  const auto [slot, generation, connection] = slab_.Allocate();
  connection->worker_ = this;
  connection->options_ = &options;
  connection->id_ = uint64_t{index()} << 48 | next_connection_sequence_++;
  connection->opened_at_ = now_;
  connection->last_activity_ = now_;
  connection->fd_ = fd;
  connection->slot_ = slot;
  connection->generation_ = generation;
  connection->state_ = Connection::State::kOpen;
  table_.Insert(connection->id_, {slot, generation});
  counters().connections_open.Add();
  try {
    connection->session_ = protocol.NewSession(*connection);
  } catch (const std::exception& exception) {
    counters().handler_exceptions.Add();
  } catch (...) {
    counters().handler_exceptions.Add();
  }
  if (connection->session_ == nullptr) connection->Abort(CloseReason::kHandlerError);
  if (options.timeouts.lifetime.count() > 0) connection->BoundLifetime();
  return *connection;
}

void Worker::AddAccepted(Listener& listener, int fd) {
  const ListenerDefinition& definition = listener.definition();
  counters().connections_accepted.Add();
  Connection& connection = NewConnection(fd, *definition.protocol, definition.stream);
  if (!connection.open()) return;
  connection.SetWait(Wait::kHandshake);
  if (stopping_) connection.deferred_stop_ = true;
  connection.UpdateReceiving();
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

void Worker::AddLifetime(Connection& connection, TimePoint deadline) {
  lifetime_timers_[connection.id_] =
      AddTimer(Duration(deadline - now_), Duration::zero(), [this, id = connection.id_] {
        if (Connection* found = Find(id)) found->OnLifetime();
      });
}

void Worker::CancelLifetime(Connection& connection) {
  const auto it = lifetime_timers_.find(connection.id_);
  CHECK(it != lifetime_timers_.end());
  CancelTimer(it->second);
  lifetime_timers_.erase(it);
}

bool Worker::CancelTimer(TimerId id) { return timers_.Cancel(id); }

void Worker::ScheduleFlush(Connection& connection) {
  connection.flush_scheduled_ = true;
  flush_list_.push_back({connection.slot_, connection.generation_});
}

void Worker::ScheduleOffer(Connection& connection) {
  if (connection.offer_scheduled_) return;
  connection.offer_scheduled_ = true;
  offer_list_.push_back({connection.slot_, connection.generation_});
}

void Worker::AddStarved(Connection& connection) {
  connection.starved_ = true;
  starved_list_.push_back({connection.slot_, connection.generation_});
}

void Worker::ListForClose(Connection& connection) {
  if (connection.listed_for_close_) return;
  connection.listed_for_close_ = true;
  close_list_.push_back({connection.slot_, connection.generation_});
}

}  // namespace ringmaster
