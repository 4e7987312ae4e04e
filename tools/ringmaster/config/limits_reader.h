#pragma once

#include "engine/config/config_reader.h"
#include "tools/ringmaster/config/server_config.h"

namespace ringmaster::config {

// The keys of RequestLimits, over the values that stand in `out`.
void ReadRequestLimits(ConfigObject& object, RequestLimits& out);
// Those that a route may override.
void ReadRouteLimits(ConfigObject& object, RouteLimits& out);

// allowed_origins and missing_origin. `check` may be empty: see ReadOptions.
void ReadOrigin(ConfigObject& object,
                const std::function<absl::Status(const std::string& entry)>& check,
                OriginConfig& out);

}  // namespace ringmaster::config
