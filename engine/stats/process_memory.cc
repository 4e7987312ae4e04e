#include "engine/stats/process_memory.h"

#include <fmt/format.h>

#include <cstdio>

namespace ringmaster {

ProcessMemory ProcessMemory::Of(int32_t pid) {
  ProcessMemory memory;
  if (pid <= 0) return memory;
  std::FILE* file = std::fopen(fmt::format("/proc/{}/status", pid).c_str(), "re");
  if (file == nullptr) return memory;
  char line[256];
  while (std::fgets(line, sizeof(line), file) != nullptr) {
    unsigned long long kilobytes = 0;
    if (std::sscanf(line, "RssAnon: %llu kB", &kilobytes) == 1) {
      memory.anonymous_bytes = kilobytes * 1024;
    } else if (std::sscanf(line, "RssFile: %llu kB", &kilobytes) == 1) {
      memory.file_bytes = kilobytes * 1024;
    } else if (std::sscanf(line, "RssShmem: %llu kB", &kilobytes) == 1) {
      memory.shared_bytes = kilobytes * 1024;
      break;
    }
  }
  std::fclose(file);
  return memory;
}

}  // namespace ringmaster
