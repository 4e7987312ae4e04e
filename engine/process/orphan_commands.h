#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/time.h"
#include "engine/process/runtime_paths.h"

// What commands do where a server has no master (orphans.h).

namespace ringmaster {

// What `status` says of a server that has no master.
struct OrphanSurvey {
  uint32_t workers = 0;
  uint64_t connections = 0;
};
OrphanSurvey SurveyOrphans(const RuntimePaths& paths);
// "has no master; 3 workers ... serve on without one: ..."
std::string DescribeOrphans(const OrphanSurvey& survey);

// Stops the workers that have no master, and waits until they are gone; those that are still there
// after `stop_timeout`, or with `now` after a moment, are killed. Then nothing is left of the
// server, neither process nor file. Returns how many there were. Errors: kAlreadyExists, a server
// starts or runs; kDeadlineExceeded, a worker does not answer.
absl::StatusOr<uint32_t> StopOrphans(const RuntimePaths& paths, Duration stop_timeout, bool now);

}  // namespace ringmaster
