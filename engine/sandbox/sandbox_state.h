#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ringmaster {

// What a process may do, as the kernel tells it in /proc/PID/status (proc(5)); everybody may read
// that of every process, unless /proc is mounted with hidepid.
struct SandboxState {
  enum class Seccomp : uint8_t { kOff = 0, kStrict = 1, kFilter = 2 };

  uint32_t uid = 0;  // effective, as the next
  uint32_t gid = 0;
  std::vector<uint32_t> groups;
  uint64_t capabilities = 0;  // effective: a bit for each, capabilities(7)
  uint64_t bounding_capabilities = 0;
  bool no_new_privs = false;
  // nullopt: a kernel without seccomp.
  std::optional<Seccomp> seccomp;

  bool operator==(const SandboxState&) const = default;

  // nullopt for what is no such file.
  static std::optional<SandboxState> Parse(std::string_view proc_status);
  // nullopt when there is no such process, or it may not be seen.
  static std::optional<SandboxState> OfProcess(int32_t pid);

  // "user 33, group 33 (4, 33), no capabilities, no_new_privs, system calls filtered".
  std::string Describe() const;
};

// "off", "strict", "filter", or "none" for a kernel without seccomp.
std::string_view SeccompName(const std::optional<SandboxState::Seccomp>& seccomp);

}  // namespace ringmaster
