#pragma once

#include "engine/base/time.h"

namespace ringmaster {

// A connection that has not sent anything yet may have its first request on the way: a worker that
// stops or drains gives it this long.
inline constexpr Duration kFreshConnectionGrace = std::chrono::milliseconds(500);

}  // namespace ringmaster
