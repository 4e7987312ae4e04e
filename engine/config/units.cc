#include "engine/config/units.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace ringmaster::config {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

// Largest first, so that formatting takes the first that divides.
constexpr Unit kDurationUnits[] = {
    {"h", 3'600'000'000'000}, {"m", 60'000'000'000}, {"s", 1'000'000'000},
    {"ms", 1'000'000},        {"us", 1'000},
};
constexpr Unit kByteUnits[] = {
    {"GiB", 1u << 30}, {"MiB", 1u << 20}, {"KiB", 1u << 10}, {"B", 1}, {"", 1},
};
constexpr Unit kPlain[] = {{"", 1}};
// Seconds; the shortest first, so that formatting takes the first that gives a whole number.
constexpr Unit kRatePeriods[] = {{"s", 1}, {"m", 60}, {"h", 3600}};
constexpr uint64_t kRateMax = 1'000'000'000;
// A year: beyond it a number is a slip of the keyboard, and sums of deadlines stay far from
// overflow.
constexpr uint64_t kDurationMax = 366ull * 24 * 3'600'000'000'000;

// A decimal integer without sign, then one of `units`; at most `max`.
template <size_t N>
std::optional<uint64_t> ParseQuantity(std::string_view text, const Unit (&units)[N], uint64_t max) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view suffix(rest, static_cast<size_t>(end - rest));
  for (const Unit& unit : units) {
    if (suffix != unit.name) continue;
    if (number > max / unit.factor) return std::nullopt;
    return number * unit.factor;
  }
  return std::nullopt;
}

template <size_t N>
std::string FormatQuantity(uint64_t quantity, const Unit (&units)[N]) {
  for (const Unit& unit : units) {
    if (quantity % unit.factor == 0) return fmt::format("{}{}", quantity / unit.factor, unit.name);
  }
  const Unit& smallest = units[N - 1];
  return fmt::format("{}{}", quantity / smallest.factor, smallest.name);
}

}  // namespace

std::optional<Duration> ParseDuration(std::string_view text) {
  if (text == "0") return Duration::zero();
  const std::optional<uint64_t> nanoseconds = ParseQuantity(text, kDurationUnits, kDurationMax);
  if (!nanoseconds) return std::nullopt;
  return Duration(static_cast<int64_t>(*nanoseconds));
}

std::string FormatDuration(Duration duration) {
  if (duration.count() <= 0) return "0s";
  return FormatQuantity(static_cast<uint64_t>(duration.count()), kDurationUnits);
}

std::optional<uint64_t> ParseByteSize(std::string_view text) {
  return ParseQuantity(text, kByteUnits, INT64_MAX);
}

std::string FormatByteSize(uint64_t bytes) {
  if (bytes == 0) return "0B";
  return FormatQuantity(bytes, kByteUnits);
}

std::optional<RateLimit> ParseRate(std::string_view text) {
  if (text == "0") return RateLimit();
  constexpr std::string_view kBurst = " burst ";
  RateLimit rate;
  if (const size_t place = text.find(kBurst); place != std::string_view::npos) {
    const std::optional<uint64_t> burst =
        ParseQuantity(text.substr(place + kBurst.size()), kPlain, kRateMax);
    if (!burst || *burst == 0) return std::nullopt;
    rate.burst = static_cast<uint32_t>(*burst);
    text = text.substr(0, place);
  }
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::optional<uint64_t> count = ParseQuantity(text.substr(0, slash), kPlain, kRateMax);
  if (!count || *count == 0) return std::nullopt;
  for (const Unit& period : kRatePeriods) {
    if (text.substr(slash + 1) != period.name) continue;
    rate.per_second = static_cast<double>(*count) / static_cast<double>(period.factor);
    return rate;
  }
  return std::nullopt;
}

std::string FormatRate(const RateLimit& rate) {
  if (!rate.limited()) return "0";
  std::string text;
  for (const Unit& period : kRatePeriods) {
    const double count = rate.per_second * static_cast<double>(period.factor);
    text = fmt::format("{:.0f}/{}", count, period.name);
    if (std::abs(count - std::round(count)) < 1e-6 * count) break;
  }
  if (rate.burst > 0) text += fmt::format(" burst {}", rate.burst);
  return text;
}

}  // namespace ringmaster::config
