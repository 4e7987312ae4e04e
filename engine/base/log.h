#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include <spdlog/spdlog.h>

namespace ringmaster {

// The process's logger: spdlog, set up once by Main from ServerOptions. Text lines for people, JSON lines
// for machines. Hot paths do not log; anything a stranger can trigger is logged at a bounded rate.
//
//   log::Get().info("worker {} ready", index);
//
// Errors of Setup: kInvalidArgument (level, format), kPermissionDenied/kUnavailable (file).
namespace log {
absl::Status Setup(const std::string& level, const std::string& format, const std::string& file,
                   const std::string& process);
spdlog::logger& Get();
}  // namespace log

}  // namespace ringmaster
