#include "tests/e2e/programs/steady/errors.h"

#include <fmt/format.h>

#include <cerrno>

namespace steady {

Failure ClassOfError(int error) {
  switch (error) {
    case ECONNREFUSED:
      return Failure::kRefused;
    case ECONNRESET:
    case EPIPE:
      return Failure::kReset;
    case ETIMEDOUT:
      return Failure::kTimedOut;
    default:
      return Failure::kLocal;
  }
}

std::string Quote(std::string_view bytes) {
  return fmt::format("{} bytes: {}", bytes.size(), bytes.substr(0, 60));
}

void CountGeneration(Report& report, Traffic traffic, std::string_view field,
                     const Answer& answer) {
  if (field.empty()) return;
  if (answer.has_generation) {
    report.SawGeneration(traffic, answer.generation);
  } else {
    report.SawNoGeneration();
  }
}

}  // namespace steady
