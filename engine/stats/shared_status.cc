#include "engine/stats/shared_status.h"

#include <time.h>

#include <utility>

namespace ringmaster {
namespace {

std::unique_ptr<SharedBlock>& Instance() {
  static std::unique_ptr<SharedBlock> block;
  return block;
}

}  // namespace

TimePoint MonotonicNow() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<TimePoint>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

SharedBlock* SharedStatus::Get() { return Instance().get(); }
void SharedStatus::Set(std::unique_ptr<SharedBlock> block) { Instance() = std::move(block); }

}  // namespace ringmaster
