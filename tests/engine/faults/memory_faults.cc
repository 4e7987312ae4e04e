#include "tests/engine/faults/memory_faults.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "tests/engine/simulation/random.h"

namespace ringmaster::faults {
namespace {

thread_local int pauses = 0;

struct State {
  uint64_t nth = 0;
  double chance = 0;
  bool mappings = false;
  uint64_t seen = 0;
  uint64_t failed = 0;
  simulation::Random random{0};
};
thread_local State state;

bool Fails(bool mapping) {
  if (pauses > 0) return false;
  if (state.nth == 0 && state.chance == 0 && !state.mappings) return false;
  ++state.seen;
  const bool fails = (state.nth != 0 && state.seen == state.nth) || (state.mappings && mapping) ||
                     (state.chance > 0 && state.random.Chance(state.chance));
  state.failed += fails;
  return fails;
}

}  // namespace

void MemoryFaults::FailNth(uint64_t n) {
  Stop();
  state.nth = n;
}
void MemoryFaults::FailWithChance(double chance, uint64_t seed) {
  Stop();
  state.chance = chance;
  state.random = simulation::Random(seed);
}
void MemoryFaults::FailMappings() {
  Stop();
  state.mappings = true;
}
void MemoryFaults::Stop() { state = State(); }
MemoryFaults::Pause::Pause() { ++pauses; }
MemoryFaults::Pause::~Pause() { --pauses; }
uint64_t MemoryFaults::seen_count() { return state.seen; }
uint64_t MemoryFaults::failed_count() { return state.failed; }

}  // namespace ringmaster::faults

using ringmaster::faults::Fails;

// mmap64 is what mmap is called where off_t has 64 bits.
// The names that the linker's --wrap gives them. NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
void* __real__Znwm(size_t bytes);
void* __real__Znam(size_t bytes);
void* __real_realloc(void* memory, size_t bytes);
void* __real_mmap64(void* address, size_t bytes, int protection, int flags, int fd, off_t offset);

void* __wrap__Znwm(size_t bytes) {
  if (Fails(false)) throw std::bad_alloc();
  return __real__Znwm(bytes);
}
void* __wrap__Znam(size_t bytes) {
  if (Fails(false)) throw std::bad_alloc();
  return __real__Znam(bytes);
}
void* __wrap_realloc(void* memory, size_t bytes) {
  return Fails(false) ? nullptr : __real_realloc(memory, bytes);
}
void* __wrap_mmap64(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (Fails(true)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return __real_mmap64(address, bytes, protection, flags, fd, offset);
}
}
