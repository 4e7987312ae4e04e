#include "tests/engine/simulation/world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace ringmaster::simulation {

void World::At(TimePoint time, absl::AnyInvocable<void()> action) {
  events_.push_back({std::max(time, now_), sequence_++, std::move(action)});
  std::push_heap(events_.begin(), events_.end(), Later);
}

void World::RunNextEvent() {
  std::pop_heap(events_.begin(), events_.end(), Later);
  Event event = std::move(events_.back());
  events_.pop_back();
  AdvanceTo(event.time);
  event.action();
}

void World::Fail(std::string_view broken_promise) const {
  std::fprintf(stderr, "simulation with --seed=%llu failed at %lld ns: %.*s\n",
               static_cast<unsigned long long>(seed_), static_cast<long long>(now_),
               static_cast<int>(broken_promise.size()), broken_promise.data());
  std::abort();
}

}  // namespace ringmaster::simulation
