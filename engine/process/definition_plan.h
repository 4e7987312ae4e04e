#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/server.h"

namespace ringmaster {

// What a master needs to know of a definition that another program makes: where to listen, how many
// workers, which limits they share, its own timeouts and log. The new release of a program says it
// of itself, to a master of the old one (planner.h).
std::string WritePlan(const ServerDefinition& server);
// A definition without protocols and handlers, for a master alone. Errors: kInvalidArgument, of
// another release, cut short or senseless.
absl::StatusOr<std::unique_ptr<ServerDefinition>> ReadPlan(std::string_view plan);

}  // namespace ringmaster
