#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "engine/process/exit_status.h"

namespace ringmaster {

// How a command ends that cannot do what it was asked: with the reason on standard error, and with
// the status that its process ends with.
//
//   if (!answer.ok()) return Fail(answer.status());
//
// Not fmt::print: it throws where the stream's other end is gone.
inline int Fail(std::string_view reason, int exit_status = kFailed) {
  std::fputs(fmt::format("error: {}\n", reason).c_str(), stderr);
  return exit_status;
}

inline int Fail(const absl::Status& status, int exit_status = kFailed) {
  return Fail(std::string(status.message()), exit_status);
}

}  // namespace ringmaster
