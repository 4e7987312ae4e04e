#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/time.h"
#include "engine/limits/rate_limit.h"

// Quantities with their units, as people write them in a configuration.

namespace ringmaster::config {

// "250ms", "75s", "1m", "2h", "1.5s" is refused (write "1500ms"); "0" and "0s" are zero. nullopt:
// not a duration, or beyond a year.
std::optional<Duration> ParseDuration(std::string_view text);
// The shortest form that ParseDuration reads back to the same; whole microseconds at least.
std::string FormatDuration(Duration duration);

// "16KiB", "1MiB", "2GiB", "512B", "512". Powers of 1024 only: "KB" is refused, since half of its
// readers mean 1000.
std::optional<uint64_t> ParseByteSize(std::string_view text);
std::string FormatByteSize(uint64_t bytes);

// "100/s", "30/m", "5/h", with " burst 200" behind it or not; "0" is no limit. nullopt: not a rate,
// or above a thousand million a second.
std::optional<RateLimit> ParseRate(std::string_view text);
// The form that ParseRate reads back to the same.
std::string FormatRate(const RateLimit& rate);

}  // namespace ringmaster::config
