#pragma once

#include <cstdint>

namespace ringmaster::faults {

// Lets allocations fail: operator new, realloc and mmap as the engine and the protocols call them
// (this test's linker wraps those names; libraries are left alone). Only on the thread that asked
// for it.
//
//   MemoryFaults::FailNth(3);   // the third from now on, once
//   ...
//   MemoryFaults::Stop();
class MemoryFaults {
 public:
  static void FailNth(uint64_t n);
  static void FailWithChance(double chance, uint64_t seed);
  static void FailMappings();
  static void Stop();
  // While one lives, allocations of this thread neither fail nor count: for the tests' own
  // machinery.
  class Pause {
   public:
    Pause();
    ~Pause();
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;
  };
  // Since the last of the calls above.
  static uint64_t seen_count();
  static uint64_t failed_count();
};

}  // namespace ringmaster::faults
