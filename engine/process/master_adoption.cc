#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "engine/base/descriptor_passing.h"
#include "engine/base/log.h"
#include "engine/process/control_message.h"
#include "engine/process/master.h"
#include "engine/process/orphans.h"
#include "engine/stats/shared_status.h"

// A start that finds workers whose master is gone. Each is told at once that it is ours: when this
// start fails or is killed, it sees that end as it saw the first one, and waits for the next.

namespace ringmaster {
namespace {

// Told with what it needs to be a worker of this master.
bool TakeIn(const UniqueFd& connection, int inbox, int report, int door) {
  const std::array<int, 3> fds = {inbox, report, door};
  const char message = static_cast<char>(ControlMessage::kTakeIn);
  return SendDescriptors(connection.get(), std::string_view(&message, 1), fds);
}

}  // namespace

absl::Status Master::OpenDoor() {
  absl::StatusOr<OrphanDoor> door = OrphanDoor::Open(paths_);
  if (door.ok()) {
    door_ = *std::move(door);
    return absl::OkStatus();
  }
  if (server_.options.orphaned_workers == OrphanedWorkers::kServe) return door.status();
  // A path that is a little too long harms nobody then.
  log::Get().debug("workers cannot outlive this master: {}", std::string(door.status().message()));
  return absl::OkStatus();
}

absl::Status Master::FindOrphans() {
  const TimePoint deadline = DeadlineAfter(MonotonicNow(), kOrphanPatience);
  for (const std::string& path : OrphanDoor::Paths(paths_)) {
    if (path == door_.path()) continue;
    while (true) {
      absl::StatusOr<std::optional<OrphanedWorker>> called = CallOrphan(path, deadline);
      if (!called.ok()) return called.status();
      if (!called->has_value()) break;
      FoundWorker found;
      found.worker = *std::move(*called);
      found.report.Reset(::memfd_create("ringmaster-connections", MFD_CLOEXEC));
      int inbox[2];
      if (!door_.valid() || !found.report.valid() ||
          ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, inbox) != 0) {
        return absl::ErrnoToStatus(errno, "cannot adopt a worker whose master is gone");
      }
      found.inbox.Reset(inbox[0]);
      const UniqueFd theirs(inbox[1]);
      // It may have ended meanwhile.
      if (TakeIn(found.worker.connection, theirs.get(), found.report.get(), door_.fd())) {
        found_.push_back(std::move(found));
      }
    }
    ::unlink(path.c_str());
  }
  return absl::OkStatus();
}

std::vector<FoundSocket> Master::TakeFoundSockets() {
  std::vector<FoundSocket> sockets;
  for (FoundWorker& found : found_) {
    for (size_t i = 0; i < found.worker.sockets.size(); ++i) {
      sockets.push_back({found.worker.hello.listeners[i], std::move(found.worker.sockets[i])});
    }
    found.worker.sockets.clear();
  }
  return sockets;
}

// From here on it goes as in a reload whose old generation is theirs. All that is known of that one
// is its number; nothing of it is started again.
absl::Status Master::AdoptOrphans() {
  auto theirs = std::make_shared<Generation>();
  theirs->number = first_->number - 1;
  theirs->definition = first_->definition;
  current_ = theirs;
  for (FoundWorker& found : found_) {
    const OrphanHello& hello = found.worker.hello;
    // Ids stay unique: connections keep theirs.
    if (adopted_.empty() || hello.connection_prefix >= fleet_->next_prefix()) {
      fleet_->next_prefix() = static_cast<uint16_t>(hello.connection_prefix + 1);
    }
    WorkerSlot::Adopted adopted = {found.worker.pid, std::move(found.worker.process),
                                   std::move(found.worker.connection), std::move(found.inbox),
                                   hello.generation};
    const absl::StatusOr<WorkerSlot*> slot =
        fleet_->Adopt(theirs, static_cast<uint32_t>(adopted_.size()), std::move(adopted),
                      std::move(found.report));
    if (!slot.ok()) return slot.status();
    adopted_.push_back(*slot);
  }
  found_.clear();
  if (admin_server_ != nullptr) return StartAdmin(first_);
  BeginAdoption();
  return absl::OkStatus();
}

void Master::BeginAdoption() { reload_->Adopt(first_, adopted_, MonotonicNow()); }

void Master::ReapAdopted(const std::vector<uint32_t>& workers, const pollfd* entries) {
  for (size_t i = 0; i < workers.size(); ++i) {
    if (entries[i].revents == 0) continue;
    WorkerSlot* const slot = fleet_->FindByIndex(workers[i]);
    // How it ended is told to its parent alone.
    if (slot != nullptr && slot->adopted()) OnWorkerExit(*slot, /*wait_status=*/0);
  }
}

void Master::OnReloadEnded() {
  if (!adopting()) {
    TellWhatServes();
    return;
  }
  if (current_ != first_) {
    // In the next turn of the loop: whoever has told the reload so is not finished with its slots.
    start_failure_ = absl::AbortedError(reload_->reason());
    return;
  }
  first_.reset();
  adopted_.clear();
  all_ready_ = true;
  OnAllReady();
}

void Master::LeaveOrphans() {
  if (!adopting() && found_.empty()) return;
  if (reload_) reload_->Cancel();
  adopted_.clear();
  // Not told anything: they see the end of their control sockets.
  if (fleet_) fleet_->ForgetAdopted();
  found_.clear();
  if (listening_ != nullptr) listening_->LeaveFound();
  door_.Leave();
  if (adopting()) current_ = std::exchange(first_, nullptr);
}

}  // namespace ringmaster
