#pragma once

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/server.h"

namespace ringmaster {

// Binds and listens on a unix socket with the mode and owner the listener asks for. A socket file
// that a dead server left behind is removed; a file that somebody listens on, or that is no socket,
// is not.
//
// Errors: kAlreadyExists, kPermissionDenied, kInvalidArgument (unknown owner, not a socket), each
// with the remedy.
absl::StatusOr<UniqueFd> OpenUnixListener(const ListenerDefinition& listener);

// Removes `path` if it is a socket on which nobody listens; ok when there is nothing to remove.
absl::Status RemoveStaleSocket(const Address& address);

}  // namespace ringmaster
