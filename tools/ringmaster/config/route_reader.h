#pragma once

#include "engine/config/config_reader.h"
#include "tools/ringmaster/config/server_config_reader.h"

namespace ringmaster::config {

// Reads one element of `routes`. `websocket` is what its origin check inherits.
void ReadRoute(ConfigObject& object, const OriginConfig& websocket, const ReadOptions& options,
               RouteConfig& out);

// Refuses the second of two routes that would answer the same method and path.
void RefuseRepeatedRoutes(const std::vector<ConfigValue>& values,
                          const std::vector<RouteConfig>& routes);

}  // namespace ringmaster::config
