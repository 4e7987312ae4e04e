#include "engine/stats/human_units.h"

#include <fmt/format.h>

#include <array>
#include <span>
#include <string_view>

namespace ringmaster {
namespace {

// Three significant digits, as far as there is a fraction to show.
std::string ThreeDigits(double value) {
  if (value < 9.995) return fmt::format("{:.2f}", value);
  if (value < 99.95) return fmt::format("{:.1f}", value);
  return fmt::format("{:.0f}", value);
}

// The smallest unit whole, a larger one as soon as the smaller would need four digits.
std::string InUnits(uint64_t amount, unsigned step, std::span<const std::string_view> units) {
  if (amount < step) return fmt::format("{} {}", amount, units.front());
  double value = static_cast<double>(amount) / step;
  size_t unit = 1;
  while (value >= 999.5 && unit + 1 < units.size()) {
    value /= step;
    ++unit;
  }
  return fmt::format("{} {}", ThreeDigits(value), units[unit]);
}

}  // namespace

std::string HumanBytes(uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  return InUnits(bytes, 1024, kUnits);
}

std::string HumanUptime(double seconds) {
  const auto whole = static_cast<uint64_t>(seconds);
  if (whole >= 86400) return fmt::format("{}d {}h", whole / 86400, whole % 86400 / 3600);
  if (whole >= 3600) return fmt::format("{}h {}m", whole / 3600, whole % 3600 / 60);
  if (whole >= 60) return fmt::format("{}m {}s", whole / 60, whole % 60);
  return fmt::format("{:.1f}s", seconds);
}

std::string HumanNanoseconds(uint64_t nanoseconds) {
  constexpr std::array<std::string_view, 4> kUnits = {"ns", "us", "ms", "s"};
  return InUnits(nanoseconds, 1000, kUnits);
}

std::string HumanPercentile(const HistogramSnapshot& histogram, double percent) {
  return histogram.count() == 0 ? "-" : HumanNanoseconds(histogram.Percentile(percent));
}

std::string HumanRate(double per_second) {
  if (per_second >= 999'500) return ThreeDigits(per_second / 1e6) + "M";
  if (per_second >= 9'995) return ThreeDigits(per_second / 1e3) + "k";
  if (per_second >= 99.5 || per_second == 0) return fmt::format("{:.0f}", per_second);
  return fmt::format("{:.1f}", per_second);
}

}  // namespace ringmaster
