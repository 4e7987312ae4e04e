#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "engine/base/log.h"
#include "engine/process/control_message.h"
#include "engine/ring/kernel_ring.h"
#include "engine/sandbox/privilege_drop.h"
#include "engine/sandbox/sandbox.h"
#include "engine/worker/watchdog.h"
#include "engine/worker/worker.h"

namespace ringmaster {
namespace {

void PinTo(int cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(static_cast<size_t>(cpu), &cpus);
  if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0) {
    log::Get().warn("pinning to CPU {} failed: {}", cpu, std::strerror(errno));
  }
}

// nullptr when it is off. Its thread ends with it.
std::unique_ptr<Watchdog> StartWatchdog(const ServerOptions& options,
                                        const WorkerEnvironment& environment,
                                        const Worker& worker) {
  Watchdog::Options watch;
  watch.report_after = options.handler_timeout;
  watch.replace_after = options.handler_kill_timeout;
  if (!watch.enabled() || environment.pulse == nullptr) return nullptr;
  if (environment.control_fd >= 0) {
    watch.on_stuck = [fd = environment.control_fd] {
      if (ControlPacket{ControlMessage::kStuck}.Send(fd)) return true;
      // Nobody would ever end it, and the next master waits for it.
      if (errno == EPIPE) {
        log::Get().error("there is no master, this worker ends");
        ::_exit(1);
      }
      return false;
    };
  }
  return std::make_unique<Watchdog>(worker, *environment.pulse,
                                    environment.counters->handler_stalls, std::move(watch));
}

}  // namespace

int RunWorker(ServerDefinition& server, const WorkerEnvironment& environment) {
  if (const absl::Status status = server.Validate(); !status.ok()) {
    log::Get().error("worker {} cannot start: {}", environment.index,
                     std::string(status.message()));
    return 1;
  }
  if (environment.cpu >= 0) PinTo(environment.cpu);
  RingOptions ring_options;
  ring_options.sq_entries = server.options.ring_entries;
  ring_options.cq_entries = server.options.ring_entries * 4;
  ring_options.buffer_count = server.options.receive_buffer_count;
  ring_options.buffer_bytes = server.options.receive_buffer_bytes;
  ring_options.restricted = server.options.sandbox != SandboxMode::kOff;
  absl::StatusOr<std::unique_ptr<KernelRing>> ring = KernelRing::Create(ring_options);
  if (!ring.ok()) {
    log::Get().error("worker {} cannot start: {}", environment.index,
                     std::string(ring.status().message()));
    return 1;
  }
  // All workers have the same: one of them says it.
  if (environment.index == 0 && !environment.admin) log::Get().info("{}", (*ring)->description());

  // Behind the ring: root's rings do not count against RLIMIT_MEMLOCK, and sysctl
  // kernel.io_uring_disabled=1 lets nobody else make one. In front of the application's code.
  if (const absl::Status status = DropPrivileges(server.options.user, server.options.group);
      !status.ok()) {
    log::Get().error("worker {} cannot start: {}", environment.index,
                     std::string(status.message()));
    return 1;
  }
  const bool ring_restricted = (*ring)->restricted();

  Worker worker(server, environment, *std::move(ring));
  server.request_reload = [&worker] { worker.RequestReload(); };
  if (server.on_worker_start) {
    absl::Status status;
    try {
      status = server.on_worker_start(worker);
    } catch (const std::exception& exception) {
      status = absl::InternalError(exception.what());
    }
    if (!status.ok()) {
      log::Get().error("worker {} cannot start: on_worker_start: {}", environment.index,
                       std::string(status.message()));
      return 1;
    }
  }
  worker.Start();
  {
    const std::unique_ptr<Watchdog> watchdog = StartWatchdog(server.options, environment, worker);
    const absl::Status status =
        EnterSandbox(server.options, ring_restricted, /*say=*/environment.index == 0);
    if (!status.ok()) {
      log::Get().error("worker {} cannot start: {}", environment.index,
                       std::string(status.message()));
      return 1;
    }
    if (environment.control_fd >= 0 &&
        !ControlPacket{ControlMessage::kReady}.Send(environment.control_fd)) {
      return 0;  // the master is gone
    }
    while (worker.Turn()) {
    }
  }
  if (server.on_worker_stop) server.on_worker_stop(worker);
  return 0;
}

}  // namespace ringmaster
