#pragma once

#include <cstdint>

namespace ringmaster {

// Memory of a process that is resident, by kind (proc(5), RssAnon and its neighbours).
struct ProcessMemory {
  uint64_t anonymous_bytes = 0;  // heap, connection slots, stacks
  uint64_t file_bytes = 0;       // the program and its libraries: shared with the other workers
  uint64_t shared_bytes = 0;     // shared memory: counters, buffers of the ring

  uint64_t resident_bytes() const { return anonymous_bytes + file_bytes + shared_bytes; }

  // All 0 when the process is gone, or /proc cannot be read.
  static ProcessMemory Of(int32_t pid);
};

}  // namespace ringmaster
