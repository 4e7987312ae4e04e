#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/time.h"

namespace ringmaster {

// The master waits for its workers, then sends a hundred bytes for each connection.
inline constexpr Duration kAnswerTimeout = std::chrono::seconds(10);

// Sends one request to the control socket at `path` and returns the whole answer. Errors:
// kUnavailable (nobody listens), kPermissionDenied, kDeadlineExceeded, kInternal ("error ..."
// answered).
absl::StatusOr<std::string> AskMaster(const std::string& path, std::string_view request,
                                      Duration timeout);

// Waits until the process is gone. Errors: kDeadlineExceeded.
absl::Status WaitForExit(pid_t pid, Duration timeout);

}  // namespace ringmaster
