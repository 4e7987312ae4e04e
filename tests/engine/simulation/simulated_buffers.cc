#include "tests/engine/simulation/simulated_buffers.h"

#include <algorithm>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#define RINGMASTER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RINGMASTER_ASAN 1
#endif
#endif
#ifdef RINGMASTER_ASAN
#include <sanitizer/asan_interface.h>
#endif

#include "fmt/format.h"

namespace ringmaster::simulation {

namespace {
constexpr char kPoison = static_cast<char>(0xA5);
}

SimulatedBuffers::SimulatedBuffers(World& world, uint32_t count, uint32_t bytes)
    : world_(world),
      bytes_(bytes),
      at_home_(count),
      memory_(size_t{count} * bytes),
      state_(count, State::kKernel) {
  for (uint32_t id = 0; id < count; ++id) {
    Poison(static_cast<uint16_t>(id));
    at_kernel_.push_back(static_cast<uint16_t>(id));
  }
}

SimulatedBuffers::~SimulatedBuffers() {
#ifdef RINGMASTER_ASAN
  __asan_unpoison_memory_region(memory_.data(), memory_.size());
#endif
}

uint16_t SimulatedBuffers::Select() {
  const uint16_t id = at_kernel_.front();
  at_kernel_.erase(at_kernel_.begin());
  Unpoison(id);
  const std::span<char> memory = Memory(id);
  if (!std::all_of(memory.begin(), memory.end(), [](char c) { return c == kPoison; })) {
    world_.Fail(fmt::format("buffer {} was written after it had been returned", id));
  }
  state_[id] = State::kFilled;
  ++in_completions_;
  return id;
}

std::span<char> SimulatedBuffers::Memory(uint16_t id) {
  return {memory_.data() + size_t{id} * bytes_, bytes_};
}

void SimulatedBuffers::Lease(uint16_t id) {
  state_[id] = State::kLeased;
  --in_completions_;
}

void SimulatedBuffers::Open(uint16_t id) {
  if (id >= state_.size() || state_[id] != State::kLeased) {
    world_.Fail(fmt::format("buffer {} was opened twice, or before its completion came", id));
  }
  state_[id] = State::kOpen;
  --at_home_;
}

void SimulatedBuffers::Return(uint16_t id) {
  if (id >= state_.size()) world_.Fail(fmt::format("buffer {} does not exist", id));
  if (state_[id] != State::kOpen) {
    world_.Fail(fmt::format("buffer {} was returned twice, or was never opened", id));
  }
  state_[id] = State::kReturned;
  ++at_home_;
  Poison(id);
  returned_.push_back(id);
}

bool SimulatedBuffers::Publish() {
  for (const uint16_t id : returned_) {
    state_[id] = State::kKernel;
    at_kernel_.push_back(id);
  }
  const bool some = !returned_.empty();
  returned_.clear();
  return some;
}

void SimulatedBuffers::Poison(uint16_t id) {
  const std::span<char> memory = Memory(id);
  std::memset(memory.data(), kPoison, memory.size());
#ifdef RINGMASTER_ASAN
  __asan_poison_memory_region(memory.data(), memory.size());
#endif
}

void SimulatedBuffers::Unpoison([[maybe_unused]] uint16_t id) {
#ifdef RINGMASTER_ASAN
  const std::span<char> memory = Memory(id);
  __asan_unpoison_memory_region(memory.data(), memory.size());
#endif
}

}  // namespace ringmaster::simulation
