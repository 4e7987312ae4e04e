#pragma once

#include "absl/status/status.h"
#include "engine/server.h"

namespace ringmaster {

// Whether a worker of this process could be sandboxed as `options` ask: user, group, sandbox,
// sandbox_allow. Asked by `check` and by the master before anything is opened.
// Errors: what is wrong, and what to do.
absl::Status CheckSandbox(const ServerOptions& options);

// The last step of a worker before its loop begins, when every thread of the engine runs and
// on_worker_start is over: the filter of system calls. `ring_restricted`: KernelRing::restricted().
// With `say`, logs what holds now, and what the kernel could not give; all workers have the same.
// Errors: ServerOptions::sandbox is kRequired and something is missing.
absl::Status EnterSandbox(const ServerOptions& options, bool ring_restricted, bool say);

}  // namespace ringmaster
