#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/process/runtime_paths.h"
#include "engine/server.h"

namespace ringmaster {

// The admin process: the same executable once more, as a worker that has the admin listener alone.
// It reads figures in shared memory, so it answers while every worker is busy or stuck. It runs
// none of the application's hooks, holds to no limit of the server (connections, rates, addresses)
// and is in no total.
//
//     RINGMASTER_ADMIN_TOKEN=... ./server start        wins over options.admin.token

inline constexpr char kAdminTokenVariable[] = "RINGMASTER_ADMIN_TOKEN";
inline constexpr size_t kAdminTokenBytesMin = 16;

// False without an admin protocol and for address "off".
bool HasAdmin(const ServerDefinition& server);

// Puts the environment's token, where there is one, in the place of the one in the options.
void ApplyAdminTokenVariable(ServerOptions& options);

// What the admin process serves: one listener, small buffers, no hooks. HasAdmin must be true.
// `server` outlives it.
//
// Errors: kInvalidArgument for an address that cannot be parsed and for a token that is missing
// (where file permissions do not guard the listener), too short or not sendable, with the remedy.
absl::StatusOr<std::unique_ptr<ServerDefinition>> DefineAdminServer(const ServerDefinition& server,
                                                                    const RuntimePaths& paths);

}  // namespace ringmaster
