#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ringmaster {

// The CPUs this process may run on (sched_getaffinity), ascending.
std::vector<int> AllowedCpus();

// CPU time a control group grants per period, in CPUs; nullopt = no bound.
//
// cgroup v2, cpu.max: "150000 100000" is 1.5, "max 100000" is no bound.
std::optional<double> ParseCpuMax(std::string_view cpu_max);
// cgroup v1, cpu.cfs_quota_us ("-1" is no bound) and cpu.cfs_period_us.
std::optional<double> ParseCfsQuota(std::string_view quota_us, std::string_view period_us);
// The control group's path for the controller "cpu" in the text of /proc/self/cgroup; "" asks for
// the unified hierarchy (v2). nullopt when there is none.
std::optional<std::string> CgroupPath(std::string_view proc_self_cgroup,
                                      std::string_view controller);
// The least bound of this process's control group and of the groups above it.
std::optional<double> CpuQuota();

// One worker per CPU, but no more than the quota pays for, rounded up: 1.5 CPUs are two workers. At
// least one.
uint32_t DefaultWorkerCount(size_t allowed_cpus, std::optional<double> quota);

}  // namespace ringmaster
