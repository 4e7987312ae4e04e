#pragma once

#include <string>

#include "absl/status/status.h"

namespace ringmaster {

// Whether a worker of this process could become `user` and `group` (ServerOptions): they exist, and
// the process has CAP_SETUID and CAP_SETGID unless it is that account already. Nothing is changed.
// Errors: kInvalidArgument, kPermissionDenied with the remedy.
absl::Status CheckPrivilegeDrop(const std::string& user, const std::string& group);

// Becomes `user` and `group`, for good: identity and supplementary groups, no capability left,
// no_new_privs; then tries to get back and fails if it can. Nothing happens where both are empty.
//
// A worker calls it once, when it holds what only its master's user may open (sockets, log, ring),
// and before any code of the application. The kernel makes such a process undumpable
// (PR_SET_DUMPABLE, proc(5)) and that stays: nobody else of that account may trace it or read its
// memory. Core dumps then follow fs.suid_dumpable.
//
// Errors: what failed and why. The process is then to end: it may have changed half.
absl::Status DropPrivileges(const std::string& user, const std::string& group);

}  // namespace ringmaster
