#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tests/engine/simulation/world.h"

namespace ringmaster::simulation {

// The provided-buffer ring: who holds which buffer.
//
//   kernel ──Select──▶ filled ──Lease──▶ leased ──Open──▶ open ──Return──▶ returned ──Publish──▶
//   kernel
//
// A buffer that is not with the engine is poisoned: with a pattern, which is checked before the
// kernel uses it again (nobody wrote), and for AddressSanitizer, which sees reads as well.
class SimulatedBuffers {
 public:
  SimulatedBuffers(World& world, uint32_t count, uint32_t bytes);
  ~SimulatedBuffers();
  SimulatedBuffers(const SimulatedBuffers&) = delete;
  SimulatedBuffers& operator=(const SimulatedBuffers&) = delete;

  bool available() const { return !at_kernel_.empty(); }
  // The kernel takes the next buffer, in ring order, to fill it.
  uint16_t Select();
  std::span<char> Memory(uint16_t id);
  // Its completion was read.
  void Lease(uint16_t id);
  // Its bytes are looked at. Once per lease, and before Return: the real ring counts by it.
  void Open(uint16_t id);
  void Return(uint16_t id);
  // What was returned becomes visible to the kernel. True when there was something.
  bool Publish();

  uint32_t count() const { return static_cast<uint32_t>(state_.size()); }
  uint32_t bytes() const { return bytes_; }
  // Like the real ring counts: a buffer is at home until the engine opens it.
  uint32_t at_home() const { return at_home_; }
  // Filled, and the completion was not read yet.
  uint32_t in_completions() const { return in_completions_; }
  // In nobody's hands: every buffer, once all is over.
  uint32_t idle() const { return static_cast<uint32_t>(at_kernel_.size() + returned_.size()); }

 private:
  enum class State : uint8_t { kKernel, kFilled, kLeased, kOpen, kReturned };

  void Poison(uint16_t id);
  void Unpoison(uint16_t id);

  World& world_;
  const uint32_t bytes_;
  uint32_t at_home_;
  uint32_t in_completions_ = 0;
  std::vector<char> memory_;
  std::vector<State> state_;
  std::vector<uint16_t> returned_;
  // In ring order; the front is the next to be used.
  std::vector<uint16_t> at_kernel_;
};

}  // namespace ringmaster::simulation
