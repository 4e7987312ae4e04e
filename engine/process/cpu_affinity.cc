#include "engine/process/cpu_affinity.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>

namespace ringmaster {
namespace {

std::optional<int64_t> ParseInteger(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> Ratio(std::optional<int64_t> quota, std::optional<int64_t> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void Lower(std::optional<double>& bound, std::optional<double> other) {
  if (other && (!bound || *other < *bound)) bound = other;
}

// Calls visit(directory) for the group and every group above it: each may set a bound of its own.
template <typename Visitor>
void ForEachAncestor(const std::string& mount, std::string path, Visitor visit) {
  while (true) {
    visit(mount + path);
    if (path.empty() || path == "/") return;
    path.erase(path.rfind('/'));
  }
}

bool HasWord(std::string_view list, std::string_view word) {
  while (true) {
    const size_t comma = list.find(',');
    if (list.substr(0, comma) == word) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

std::vector<int> AllowedCpus() {
  std::vector<int> cpus;
  // The kernel refuses a set smaller than its own: machines with more than 1,024 CPUs need more
  // room.
  for (int room = CPU_SETSIZE; room <= 64 * CPU_SETSIZE; room *= 2) {
    cpu_set_t* set = CPU_ALLOC(room);
    const size_t bytes = CPU_ALLOC_SIZE(room);
    CPU_ZERO_S(bytes, set);
    const bool known = ::sched_getaffinity(0, bytes, set) == 0;
    for (int cpu = 0; known && cpu < room; ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, set)) cpus.push_back(cpu);
    }
    CPU_FREE(set);
    if (known || errno != EINVAL) break;
  }
  return cpus;
}

std::optional<double> ParseCpuMax(std::string_view cpu_max) {
  const size_t space = cpu_max.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  return Ratio(ParseInteger(cpu_max.substr(0, space)), ParseInteger(cpu_max.substr(space + 1)));
}

std::optional<double> ParseCfsQuota(std::string_view quota_us, std::string_view period_us) {
  return Ratio(ParseInteger(quota_us), ParseInteger(period_us));
}

std::optional<std::string> CgroupPath(std::string_view proc_self_cgroup,
                                      std::string_view controller) {
  // Lines are "hierarchy:controllers:path"; the unified hierarchy is "0::path".
  while (!proc_self_cgroup.empty()) {
    const std::string_view line = proc_self_cgroup.substr(0, proc_self_cgroup.find('\n'));
    proc_self_cgroup.remove_prefix(std::min(line.size() + 1, proc_self_cgroup.size()));
    const size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool unified = controllers.empty();
    if (controller.empty() ? unified : !unified && HasWord(controllers, controller)) {
      return std::string(line.substr(second + 1));
    }
  }
  return std::nullopt;
}

std::optional<double> CpuQuota() {
  const std::string groups = ReadText("/proc/self/cgroup");
  std::optional<double> quota;
  if (const std::optional<std::string> path = CgroupPath(groups, "")) {
    ForEachAncestor("/sys/fs/cgroup", *path, [&](const std::string& group) {
      Lower(quota, ParseCpuMax(ReadText(group + "/cpu.max")));
    });
  }
  if (const std::optional<std::string> path = CgroupPath(groups, "cpu")) {
    ForEachAncestor("/sys/fs/cgroup/cpu", *path, [&](const std::string& group) {
      Lower(quota, ParseCfsQuota(ReadText(group + "/cpu.cfs_quota_us"),
                                 ReadText(group + "/cpu.cfs_period_us")));
    });
  }
  return quota;
}

uint32_t DefaultWorkerCount(size_t allowed_cpus, std::optional<double> quota) {
  auto count = static_cast<double>(allowed_cpus);
  if (quota) count = std::min(count, std::ceil(*quota));
  return static_cast<uint32_t>(std::max(count, 1.0));
}

}  // namespace ringmaster
