#include "engine/process/reload.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/base/log.h"
#include "engine/process/configuration_snapshot.h"
#include "engine/stats/shared_status.h"

namespace ringmaster {
namespace {

std::string_view StageName(Reload::Stage stage) {
  switch (stage) {
    case Reload::Stage::kIdle:
      return "idle";
    case Reload::Stage::kValidating:
      return "validating";
    case Reload::Stage::kStarting:
      return "starting";
    case Reload::Stage::kRolling:
      return "rolling";
    case Reload::Stage::kUndoing:
      return "undoing";
  }
  return "";
}

// From a worker's last close(2) to its SIGCHLD.
constexpr Duration kExitMax = std::chrono::seconds(1);

double Milliseconds(TimePoint since, TimePoint now) {
  return static_cast<double>(now - since) / 1e6;
}

}  // namespace

void Reload::SetStage(Stage stage) {
  stage_ = stage;
  server_.block.DescribeReload(StageName(stage));
}

void Reload::Note(std::string line) {
  log::Get().info("{} generation {}: {}", adopting_ ? "start as" : "reload to", number_, line);
  lines_.push_back(std::move(line));
}

Reload::Place* Reload::FindPlace(const WorkerSlot& slot) {
  for (Place& place : places_) {
    if (place.old == &slot || place.next == &slot) return &place;
  }
  return nullptr;
}

void Reload::Begin(std::string_view why, TimePoint now) {
  ++number_;
  adopting_ = false;
  lines_.clear();
  reason_.clear();
  places_.clear();
  at_ = 0;
  SetStage(Stage::kValidating);
  Note(fmt::format("begins: {}", why));
  const Generation& current = *server_.current;
  absl::StatusOr<WorkerProgram> program =
      WorkerProgram::At(current.program.path(), current.program.arguments());
  absl::Status status = program.status();
  if (status.ok()) {
    program_ = *std::move(program);
    status = planner_.Begin(program_, now, current.definition->options.ready_timeout);
  }
  if (!status.ok()) Abandon(std::string(status.message()), now);
}

void Reload::Adopt(std::shared_ptr<Generation> next, const std::vector<WorkerSlot*>& found,
                   TimePoint now) {
  next_ = std::move(next);
  number_ = next_->number;
  adopting_ = true;
  places_.resize(std::max<size_t>(found.size(), next_->worker_count));
  for (size_t i = 0; i < found.size(); ++i) places_[i].old = found[i];
  at_ = 0;
  Note(fmt::format("{} workers of a master that is gone are adopted", found.size()));
  SetStage(Stage::kStarting);
  StartNext(now);
}

void Reload::Cancel() {
  if (!running()) return;
  planner_.Abandon();
  EndHandOver();
  places_.clear();
  next_.reset();
  lines_.push_back("the server stops");
  SetStage(Stage::kIdle);
}

bool Reload::OnChildExit(pid_t pid, int wait_status, TimePoint now) {
  if (!planner_.running() || pid != planner_.pid()) return false;
  absl::StatusOr<Planner::Plan> plan = planner_.Finish(wait_status);
  if (stage_ == Stage::kValidating) OnPlan(std::move(plan), now);
  return true;
}

void Reload::OnPlan(absl::StatusOr<Planner::Plan> plan, TimePoint now) {
  absl::Status status = plan.status();
  if (status.ok()) status = Prepare(*std::move(plan));
  if (!status.ok()) {
    Abandon(std::string(status.message()), now);
    return;
  }
  Note(fmt::format("{} is valid",
                   next_->configuration.valid() ? "the configuration" : "the program"));
  SetStage(Stage::kStarting);
  StartNext(now);
}

// Everything that may fail before a worker is started.
absl::Status Reload::Prepare(Planner::Plan plan) {
  const Generation& current = *server_.current;
  const std::shared_ptr<const ServerDefinition> definition = std::move(plan.definition);
  absl::StatusOr<UniqueFd> configuration = MakeConfigurationSnapshot(plan.configuration);
  if (!configuration.ok()) return configuration.status();
  const ServerOptions& options = definition->options;
  if (options.name != current.definition->options.name ||
      options.pid_file != current.definition->options.pid_file ||
      options.control_socket != current.definition->options.control_socket) {
    return absl::FailedPreconditionError(
        "name, pid_file and control_socket cannot change while the server runs: stop it and start "
        "it again");
  }
  const uint32_t worker_count = Generation::WorkerCountOf(*definition);
  if (const absl::Status added = server_.listening.Add(*definition, worker_count); !added.ok()) {
    return added;
  }
  absl::StatusOr<std::shared_ptr<Generation>> next =
      Generation::Make(number_, std::move(program_), *std::move(configuration), definition,
                       server_.descriptor_limit, server_.block.slot_capacity(), &current);
  if (!next.ok()) return next.status();
  next_ = *std::move(next);
  next_->version = plan.version;
  places_.resize(std::max(current.worker_count, worker_count));
  for (uint32_t i = 0; i < current.worker_count; ++i) places_[i].old = server_.fleet.InService(i);
  return absl::OkStatus();
}

void Reload::StartNext(TimePoint now) {
  const absl::StatusOr<WorkerSlot*> slot =
      server_.fleet.Start(next_, at_, server_.listening, /*standby=*/true);
  if (!slot.ok()) {
    Abandon(std::string(slot.status().message()), now);
    return;
  }
  places_[at_].next = *slot;
  Note(
      fmt::format("worker {} (pid {}) starts for place {}", (*slot)->index(), (*slot)->pid(), at_));
}

void Reload::OnReady(WorkerSlot& slot, TimePoint now) {
  if (stage_ != Stage::kStarting || places_[at_].next != &slot) return;
  Note(fmt::format("worker {} is ready", slot.index()));
  if (++at_ < next_->worker_count) {
    StartNext(now);
    return;
  }
  at_ = 0;
  SetStage(Stage::kRolling);
  RollNext(now);
}

// True: `from` has been told to give what it has to `to`, and OnHandedOver or an exit follows.
bool Reload::HandOver(WorkerSlot& from, WorkerSlot& to, TimePoint now) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    log::Get().warn("cannot make a socket between workers: {}", errno);
    return false;
  }
  const UniqueFd giver(ends[0]);
  const UniqueFd taker(ends[1]);
  if (!to.SendWithDescriptor(ControlMessage::kAdopt, taker.get()) ||
      !from.SendWithDescriptor(ControlMessage::kHandOver, giver.get())) {
    return false;
  }
  giving_ = &from;
  broken_ = false;
  began_handing_at_ = now;
  deadline_ = DeadlineAfter(now, server_.current->definition->options.ready_timeout);
  return true;
}

void Reload::RollNext(TimePoint now) {
  while (at_ < places_.size()) {
    Place& place = places_[at_];
    const bool serves = place.old != nullptr && place.old->running() && place.old->ready();
    if (serves && HandOver(*place.old, HeirOf(at_), now)) return;
    PassPlace();
  }
  Finish();
}

// The old worker of this place accepts no more.
void Reload::PassPlace() {
  Place& place = places_[at_];
  EndHandOver();
  // Where there are fewer new workers, its heir serves already, and shall look who waits here.
  if (WorkerSlot* const heir = places_[at_ % next_->worker_count].next) heir->Serve();
  if (place.old != nullptr) place.old->BeginDraining();
  ++at_;
}

void Reload::OnHandedOver(WorkerSlot& slot, uint64_t count, TimePoint now) {
  if (giving_ != &slot) return;
  WorkerSlot* const heir = stage_ == Stage::kRolling ? &HeirOf(at_) : places_[at_].old;
  if (heir != nullptr) {
    Note(fmt::format("worker {} gave {} connections to worker {} in {:.1f} ms", slot.index(), count,
                     heir->index(), Milliseconds(began_handing_at_, now)));
  }
  if (stage_ == Stage::kRolling) {
    PassPlace();
    RollNext(now);
    return;
  }
  EndHandOver();
  if (heir != nullptr) {
    heir->Serve();
  } else {
    StartOldAgain();
  }
  slot.LeaveWhenDrained(now);
  UndoNext(now);
}

// If it died, its exit is the news, and what it had was not handed over. If it lives, what it could
// not take stays where it is.
void Reload::OnHandoffBroken(WorkerSlot& slot, uint64_t count, TimePoint now) {
  if (giving_ != &slot) return;
  if (stage_ != Stage::kRolling) {
    OnHandedOver(slot, count, now);
    return;
  }
  broken_ = true;
  given_ = count;
  deadline_ = std::min(deadline_, DeadlineAfter(now, kExitMax));
}

void Reload::EndHandOver() {
  giving_ = nullptr;
  deadline_ = kNever;
}

void Reload::Record(std::atomic<uint64_t>& counter, std::string_view result) {
  places_.clear();
  stage_ = Stage::kIdle;
  if (adopting_) {
    server_.block.DescribeReload(StageName(Stage::kIdle));
    return;
  }
  counter.fetch_add(1);
  server_.block.header().reload.generation.store(number_);
  server_.block.DescribeReload(StageName(Stage::kIdle), result, reason_);
}

void Reload::Finish() {
  const TimePoint now = MonotonicNow();
  uint64_t draining = 0;
  for (Place& place : places_) {
    if (place.old == nullptr) continue;
    draining += place.old->connections_open();
    if (place.old->running()) {
      place.old->LeaveWhenDrained(now);
    } else {
      server_.fleet.Forget(*place.old);
    }
  }
  server_.listening.Keep(*next_->definition, next_->worker_count);
  server_.current = std::move(next_);
  Record(server_.block.header().reload.done, "done");
  Note(
      fmt::format("generation {} serves with {} workers; {} connections come to their end in the "
                  "old ones",
                  number_, server_.current->worker_count, draining));
  server_.on_done();
  server_.on_ended();
}

void Reload::OnWorkerExit(WorkerSlot& slot, const std::string& how, TimePoint now) {
  Place* const place = running() ? FindPlace(slot) : nullptr;
  if (place == nullptr) return;
  const bool was_giving = giving_ == &slot;
  if (place->next == &slot) {
    place->next = nullptr;
    slot.BeginDraining();  // it is not to be started again
    if (stage_ == Stage::kUndoing) {
      if (!was_giving) return;
      EndHandOver();
      if (places_[at_].old != nullptr) places_[at_].old->TakeBack();
      UndoNext(now);
      return;
    }
    Abandon(fmt::format("worker {} {}", slot.index(), how), now);
    return;
  }
  if (slot.draining()) place->old = nullptr;
  if (!was_giving) return;
  Note(fmt::format("worker {} {} while it handed over", slot.index(), how));
  PassPlace();
  place->old = nullptr;
  RollNext(now);
}

void Reload::OnTimer(TimePoint now) {
  if (planner_.deadline() <= now) planner_.OnTimer();
  if (deadline_ > now) return;
  deadline_ = kNever;
  if (giving_ == nullptr) return;
  if (stage_ == Stage::kRolling && broken_) {
    OnHandedOver(*giving_, given_, now);
    return;
  }
  if (stage_ == Stage::kUndoing) {
    // It moves no more, and what it took must not wait for it. Its exit follows.
    giving_->Kill("did not give back what it had taken over in time (ready_timeout)");
    return;
  }
  Abandon(fmt::format("worker {} did not take over the connections of worker {} in time "
                      "(ready_timeout)",
                      HeirOf(at_).index(), giving_->index()),
          now);
}

void Reload::Abandon(std::string reason, TimePoint now) {
  planner_.Abandon();
  reason_ = std::move(reason);
  log::Get().error("the {} generation {} is abandoned: {}", adopting_ ? "start as" : "reload to",
                   number_, reason_);
  lines_.push_back(fmt::format("abandoned: {}", reason_));
  const bool rolling = stage_ == Stage::kRolling;
  uint32_t passed = rolling ? at_ : 0;
  if (rolling && passed < places_.size() && places_[passed].old != nullptr) {
    // What is on its way stays with the old one, what has arrived must come back.
    places_[passed].old->Resume();
    if (giving_ != nullptr) ++passed;
  }
  EndHandOver();
  // Who has taken no place yet goes at once.
  for (uint32_t i = passed; i < places_.size(); ++i) {
    if (places_[i].next != nullptr) places_[i].next->Discard(now);
    places_[i].next = nullptr;
  }
  for (uint32_t i = 0; i < passed; ++i) {
    if (places_[i].next != nullptr) places_[i].next->BeginDraining();
  }
  at_ = passed;
  SetStage(Stage::kUndoing);
  UndoNext(now);
}

// Backwards: each old worker gets its place again.
void Reload::UndoNext(TimePoint now) {
  while (at_ > 0) {
    Place& place = places_[--at_];
    WorkerSlot* const giver =
        at_ < next_->worker_count ? place.next : places_[at_ % next_->worker_count].next;
    if (place.old == nullptr) {
      StartOldAgain();
      if (place.next != nullptr) place.next->LeaveWhenDrained(now);
      continue;
    }
    const bool lives = giver != nullptr && giver->running();
    if (lives && HandOver(*giver, *place.old, now)) return;
    if (lives) {
      place.old->Serve();
    } else {
      place.old->TakeBack();
    }
    if (place.next != nullptr) place.next->LeaveWhenDrained(now);
  }
  EndAbandoned();
}

// The one at this place died meanwhile.
void Reload::StartOldAgain() {
  if (at_ >= server_.current->worker_count) return;
  const absl::StatusOr<WorkerSlot*> again =
      server_.fleet.Start(server_.current, at_, server_.listening, /*standby=*/false);
  if (!again.ok()) log::Get().error("{}", std::string(again.status().message()));
}

void Reload::EndAbandoned() {
  // The master that adopts lets go of everything.
  if (!adopting_) {
    server_.listening.Keep(*server_.current->definition, server_.current->worker_count);
  }
  next_.reset();
  Record(server_.block.header().reload.abandoned, "abandoned");
  Note(fmt::format("generation {} goes on", server_.current->number));
  server_.on_ended();
}

}  // namespace ringmaster
