#include "engine/process/start_priority.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <string>

namespace ringmaster {
namespace {

// getpriority(2) returns -1 for the nice value -1, too.
std::optional<int> OwnNice() {
  errno = 0;
  const int nice = ::getpriority(PRIO_PROCESS, 0);
  if (errno != 0) return std::nullopt;
  return nice;
}

// RLIMIT_NICE of 1 to 40 stands for the nice values 19 to -20.
bool WithinLimit(int nice) {
  rlimit limit = {};
  return ::getrlimit(RLIMIT_NICE, &limit) == 0 &&
         (limit.rlim_cur == RLIM_INFINITY || 20 - nice <= static_cast<int>(limit.rlim_cur));
}

}  // namespace

std::optional<int> NiceToReturnTo() {
  const std::optional<int> nice = OwnNice();
  if (!nice || *nice > PRIO_MAX - 1 - kStartNice) return std::nullopt;
  if (WithinLimit(*nice)) return nice;
  // Only the kernel knows what a capability is worth in this user namespace. It is asked for a step
  // in the other direction, of which everybody may return.
  if (::setpriority(PRIO_PROCESS, 0, *nice - 1) != 0) return std::nullopt;
  const bool raised = OwnNice() != nice;  // not from PRIO_MIN, where it says nothing
  if (::setpriority(PRIO_PROCESS, 0, *nice) != 0 || !raised) return std::nullopt;
  return nice;
}

void MakeWay() {
  if (const std::optional<int> nice = OwnNice()) {
    ::setpriority(PRIO_PROCESS, 0, *nice + kStartNice);
  }
}

absl::Status ReturnToNice(int nice) {
  std::error_code error;
  for (std::filesystem::directory_iterator thread("/proc/self/task", error), end;
       !error && thread != end; thread.increment(error)) {
    const std::string number = thread->path().filename();
    id_t id = 0;
    std::from_chars(number.data(), number.data() + number.size(), id);
    // ESRCH: it has ended meanwhile.
    if (::setpriority(PRIO_PROCESS, id, nice) != 0 && errno != ESRCH) {
      return absl::ErrnoToStatus(errno, fmt::format("cannot return to the nice value {}", nice));
    }
  }
  if (error) return absl::InternalError(fmt::format("/proc/self/task: {}", error.message()));
  return absl::OkStatus();
}

}  // namespace ringmaster
