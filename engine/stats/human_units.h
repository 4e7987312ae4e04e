#pragma once

#include <cstdint>
#include <string>

#include "engine/stats/histogram.h"

namespace ringmaster {

// Figures for people: short, with a unit.
std::string HumanBytes(uint64_t bytes);              // "512 B", "1.5 MiB"
std::string HumanUptime(double seconds);             // "3d 4h", "5m 2s", "1.5s"
std::string HumanNanoseconds(uint64_t nanoseconds);  // "800 ns", "1.25 us", "12.5 ms", "3.00 s"
std::string HumanRate(double per_second);            // "0.5", "120", "14.2k", "3.45M"
// A percentile of durations, 0..100; "-" = nothing was counted.
std::string HumanPercentile(const HistogramSnapshot& histogram, double percent);

}  // namespace ringmaster
