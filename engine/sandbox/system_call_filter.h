#pragma once

#include <span>
#include <string>

#include "absl/status/status.h"

namespace ringmaster {

// Installs a seccomp(2) filter that answers refused_calls.h, except the names in `allowed`, with
// EPERM, in every thread of the process and in those to come, for good. It also answers every call
// of another architecture's table (32-bit, x32) so, and sets no_new_privs.
//
// EPERM and not the end of the process: a handler that asks for something odd gets an error it can
// report. To end a worker for it would hand whoever can provoke the call a way to disconnect
// everybody else, and would hold the door no closer.
//
// Cost: the kernel keeps a bitmap of the calls that are always allowed (Linux 5.11), so those, with
// io_uring_enter among them, do not run the filter. Speculation is left as it is
// (SECCOMP_FILTER_FLAG_SPEC_ALLOW): a worker runs no code of strangers.
//
// Errors: kUnimplemented where the kernel has no seccomp filters; else the failed call's.
absl::Status InstallSystemCallFilter(std::span<const std::string> allowed);

// Whether this kernel has seccomp filters. Changes nothing.
bool SystemCallFilterSupported();

}  // namespace ringmaster
