#pragma once

#include <string>
#include <string_view>

#include "tests/e2e/programs/steady/answer.h"
#include "tests/e2e/programs/steady/report.h"

namespace steady {

// What an errno of a connection is counted as.
Failure ClassOfError(int error);

// The front of what came, for a report.
std::string Quote(std::string_view bytes);

// Does nothing without a `field`.
void CountGeneration(Report& report, Traffic traffic, std::string_view field, const Answer& answer);

}  // namespace steady
