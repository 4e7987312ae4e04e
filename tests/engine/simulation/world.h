#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "engine/base/time.h"
#include "tests/engine/simulation/faults.h"
#include "tests/engine/simulation/random.h"

namespace ringmaster::simulation {

// The clock, the generator and the future of one simulation. Time stands still while the engine
// runs and jumps to the next event while it waits.
class World {
 public:
  explicit World(uint64_t seed, const Faults& initial_faults = {})
      : faults(initial_faults), random(seed), seed_(seed) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Faults faults;
  Random random;

  uint64_t seed() const { return seed_; }
  TimePoint now() const { return now_; }

  // Runs `action` at that time, or after that while. Actions of one point in time keep their order.
  void At(TimePoint time, absl::AnyInvocable<void()> action);
  void After(Duration delay, absl::AnyInvocable<void()> action) {
    At(now_ + delay.count(), std::move(action));
  }

  // For the ring, which is what the engine waits in.
  TimePoint next_event_at() const { return events_.empty() ? kNever : events_.front().time; }
  void RunNextEvent();
  void AdvanceTo(TimePoint time) {
    if (time > now_) now_ = time;
  }

  // Ends the process, naming the broken promise, the time and the seed that shows it again.
  [[noreturn]] void Fail(std::string_view broken_promise) const;

 private:
  struct Event {
    TimePoint time;
    uint64_t sequence;
    absl::AnyInvocable<void()> action;
  };
  // std::push_heap keeps the largest in front: the earliest is the largest here.
  static bool Later(const Event& left, const Event& right) {
    return left.time != right.time ? left.time > right.time : left.sequence > right.sequence;
  }

  uint64_t seed_;
  // Not 0: a point in time of 0 would hide the confusion with "unset".
  TimePoint now_ = 1'000'000'000'000;
  uint64_t sequence_ = 0;
  std::vector<Event> events_;
};

}  // namespace ringmaster::simulation
