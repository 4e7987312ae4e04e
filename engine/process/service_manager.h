#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/time.h"
#include "engine/base/unique_fd.h"

namespace ringmaster {

// Who started the master, where that is a service manager that wants to be told how it goes
// (sd_notify(3)) and that replaces a process which does not give a sign of life
// (sd_watchdog_enabled(3)). Without one every call does nothing and succeeds.
//
//   // Before Daemonize and before the first worker; the master owns it.
//   absl::StatusOr<ServiceManager> manager = ServiceManager::TakeFromEnvironment();
//   manager->Ready("4 workers on 0.0.0.0:8080");        // all workers are ready
//   if (now >= next) manager->Watchdog();               // from the loop, every watchdog_interval()
//   manager->Reloading(MonotonicNow());                 // a reload begins, however it was asked
//   for manager->Ready("generation 2");                     // it is over, or was abandoned: say
//   which manager->Stopping();
//
// Written here and not taken from libsystemd: the protocol is a datagram of lines that systemd
// promises to keep, and sd_notify(3) itself asks to implement it where the library is not otherwise
// wanted. libsystemd would add eight libraries (compression, libgcrypt) to every program linked to
// the engine, and its functions read the environment anew on each call, which a master that has
// taken the variables out of its environment, and executes itself anew, could not use.
class ServiceManager {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and removes them from the environment: a
  // worker that inherited the socket could say READY=1 in the master's name. Call it while there is
  // one thread only. Errors: kInvalidArgument for a value that cannot be what a service manager has
  // set.
  static absl::StatusOr<ServiceManager> TakeFromEnvironment();

  ServiceManager() = default;

  // Whether anybody listens.
  bool present() const { return socket_.valid(); }

  // How often to call Watchdog(): half of what the service manager allows (WatchdogSec=), as
  // sd_watchdog_enabled(3) advises. nullopt = it does not watch this process.
  std::optional<Duration> watchdog_interval() const;

  // Each returns when the kernel has the datagram; `status` is one line for `systemctl status`,
  // empty = leave the last one. Errors: kUnavailable when nobody reads (the service manager hangs
  // or is gone); nothing is lost for the clients, so log it and go on. Ready, Reloading and
  // Stopping wait a second for room in the socket, because a service manager that missed one would
  // kill the service; the others do not wait.
  absl::Status Ready(std::string_view status = "");
  // `now` is CLOCK_MONOTONIC: a Type=notify-reload unit (systemd 253) takes a READY=1 for the end
  // of this reload only if it was sent later.
  absl::Status Reloading(TimePoint now, std::string_view status = "");
  absl::Status Stopping(std::string_view status = "");
  absl::Status Status(std::string_view status);
  absl::Status Watchdog();
  // The service's main process is another one from now on. The master keeps its pid through an
  // upgrade and does not need it; it is for programs that fork. NotifyAccess=main stops listening
  // to us then.
  absl::Status MainPid(pid_t pid);

  // "NAME=value" for a successor that is executed in this process (an upgrade keeps the pid): it
  // takes them from its environment as this one has. Empty when there is no service manager.
  std::vector<std::string> Environment() const;

 private:
  enum class IfFull { kWait, kFail };

  absl::Status Send(std::string_view message, IfFull if_full);

  std::string path_;  // as NOTIFY_SOCKET says it: "/run/..." or "@abstract"
  UniqueFd socket_;
  Duration watchdog_timeout_ = Duration::zero();  // 0 = none
};

}  // namespace ringmaster
