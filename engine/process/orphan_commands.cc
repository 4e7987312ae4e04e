#include "engine/process/orphan_commands.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "engine/connection/address.h"
#include "engine/process/await_readable.h"
#include "engine/process/bound_address.h"
#include "engine/process/control_message.h"
#include "engine/process/orphans.h"
#include "engine/process/pid_file.h"
#include "engine/process/unix_socket_file.h"
#include "engine/stats/shared_status.h"

namespace ringmaster {
namespace {

// For a look at who is there; a worker that a handler holds is left out.
constexpr Duration kSurveyMax = std::chrono::seconds(1);
constexpr Duration kGoneMax = std::chrono::seconds(2);

bool IsThere(pid_t pid) { return ::kill(pid, 0) == 0 || errno == EPERM; }

void RemoveStale(const std::string& path) {
  if (const auto address = Address::Parse(fmt::format("unix:{}", path)); address.ok()) {
    static_cast<void>(RemoveStaleSocket(*address));
  }
}

// Sends `message` to whoever is behind the doors.
absl::Status TellAll(const RuntimePaths& paths, ControlMessage message,
                     std::vector<OrphanedWorker>& told) {
  const TimePoint deadline = DeadlineAfter(MonotonicNow(), kOrphanPatience);
  for (const std::string& path : OrphanDoor::Paths(paths)) {
    while (true) {
      absl::StatusOr<std::optional<OrphanedWorker>> worker = CallOrphan(path, deadline);
      if (!worker.ok()) return worker.status();
      if (!worker->has_value()) break;
      if (ControlPacket{message}.Send((*worker)->connection.get())) {
        told.push_back(*std::move(*worker));
      }
    }
    ::unlink(path.c_str());
  }
  return absl::OkStatus();
}

}  // namespace

OrphanSurvey SurveyOrphans(const RuntimePaths& paths) {
  OrphanSurvey survey;
  for (const std::string& path : OrphanDoor::Paths(paths)) {
    // Kept: who waits for an answer does not come again.
    std::vector<OrphanedWorker> found;
    const TimePoint deadline = DeadlineAfter(MonotonicNow(), kSurveyMax);
    while (true) {
      if (!found.empty()) {
        const std::vector<pid_t>& served = found.front().hello.served;
        const auto there = std::count_if(served.begin(), served.end(), IsThere);
        if (found.size() >= static_cast<size_t>(there)) break;
      }
      absl::StatusOr<std::optional<OrphanedWorker>> worker = CallOrphan(path, deadline);
      if (!worker.ok() || !worker->has_value()) break;
      (*worker)->sockets.clear();
      found.push_back(*std::move(*worker));
    }
    survey.workers += static_cast<uint32_t>(found.size());
    for (const OrphanedWorker& worker : found) survey.connections += worker.hello.connections;
  }
  return survey;
}

std::string DescribeOrphans(const OrphanSurvey& survey) {
  return fmt::format(
      "has no master; {} worker{} with {} connection{} serve{} on without one: `start` adopts "
      "them, `stop` stops them",
      survey.workers, survey.workers == 1 ? "" : "s", survey.connections,
      survey.connections == 1 ? "" : "s", survey.workers == 1 ? "s" : "");
}

absl::StatusOr<uint32_t> StopOrphans(const RuntimePaths& paths, Duration stop_timeout, bool now) {
  const std::vector<std::string> doors = OrphanDoor::Paths(paths);
  const auto exists = [](const std::string& path) { return ::access(path.c_str(), F_OK) == 0; };
  if (std::none_of(doors.begin(), doors.end(), exists)) return 0;
  // Who starts a server meanwhile finds it under way.
  absl::StatusOr<PidFile> lock = PidFile::Acquire(paths.pid_file);
  if (!lock.ok()) return lock.status();
  std::vector<OrphanedWorker> workers;
  const absl::Status told =
      TellAll(paths, now ? ControlMessage::kStopNow : ControlMessage::kStop, workers);
  std::vector<std::string> listeners;
  for (OrphanedWorker& worker : workers) {
    for (const UniqueFd& fd : worker.sockets) listeners.push_back(BoundAddress(fd.get()));
    // Held, the kernel would queue connections that nobody accepts.
    worker.sockets.clear();
  }
  if (!told.ok()) return told;
  const TimePoint deadline =
      DeadlineAfter(MonotonicNow(), now ? kGoneMax : stop_timeout + kGoneMax);
  for (const OrphanedWorker& worker : workers) {
    if (AwaitReadable(worker.process.get(), deadline)) continue;
    ::syscall(SYS_pidfd_send_signal, worker.process.get(), SIGKILL, nullptr, 0);
    static_cast<void>(AwaitReadable(worker.process.get(), DeadlineAfter(MonotonicNow(), kGoneMax)));
  }
  for (const std::string& listener : listeners) {
    if (listener.starts_with("unix:/")) RemoveStale(listener.substr(5));
  }
  RemoveStale(paths.control_socket);
  RemoveStale(paths.admin_socket);
  return static_cast<uint32_t>(workers.size());
}

}  // namespace ringmaster
