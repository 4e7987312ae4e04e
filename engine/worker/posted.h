#pragma once

#include <mutex>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "engine/worker/worker.h"

namespace ringmaster {

// Tasks that other threads handed to this worker. The only lock in a worker; the loop takes it once
// per wake-up of the eventfd, never on its own account.
struct Worker::Posted {
  std::mutex mutex;
  std::vector<absl::AnyInvocable<void()>> tasks;
};

}  // namespace ringmaster
