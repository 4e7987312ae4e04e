#include "engine/process/configuration_snapshot.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "engine/base/write_all.h"
#include "engine/process/master_inheritance.h"
#include "engine/process/planner.h"
#include "engine/process/worker_inheritance.h"

namespace ringmaster {
namespace {

constexpr size_t kConfigurationBytesMax = 16u << 20;

std::optional<std::string>& Remembered() {
  static std::optional<std::string> text;
  return text;
}

// What the master has handed on to this process, whichever of its children it is, or its own next
// program; -1: nothing.
absl::StatusOr<int> InheritedConfiguration() {
  const absl::StatusOr<const WorkerInheritance*> worker = InheritedRole();
  if (!worker.ok()) return worker.status();
  if (*worker != nullptr) return (*worker)->configuration_fd;
  const absl::StatusOr<const PlannerInheritance*> planner = PlannerRole();
  if (!planner.ok()) return planner.status();
  if (*planner != nullptr) return (*planner)->configuration_fd;
  const absl::StatusOr<const MasterInheritance*> master = InheritedMaster();
  if (!master.ok()) return master.status();
  return *master == nullptr ? -1 : (*master)->configuration_fd;
}

// Reads from offset 0 whatever the descriptor's position: all workers share the snapshot's.
absl::StatusOr<std::string> ReadAll(int fd, const std::string& name) {
  std::string text;
  char piece[16 * 1024];
  while (true) {
    const ssize_t bytes = ::pread(fd, piece, sizeof(piece), static_cast<off_t>(text.size()));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return absl::ErrnoToStatus(errno, fmt::format("cannot read {}", name));
    if (bytes == 0) return text;
    text.append(piece, static_cast<size_t>(bytes));
    if (text.size() > kConfigurationBytesMax) {
      return absl::InvalidArgumentError(fmt::format("{} has more than 16 MiB", name));
    }
  }
}

}  // namespace

absl::StatusOr<std::string> LoadConfigurationText(const std::string& path) {
  const absl::StatusOr<int> inherited = InheritedConfiguration();
  if (!inherited.ok()) return inherited.status();
  if (*inherited >= 0) {
    absl::StatusOr<std::string> text = ReadAll(*inherited, "the inherited configuration");
    if (text.ok()) Remembered() = *text;
    return text;
  }
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, fmt::format("cannot open {}", path));
  struct stat file = {};
  if (::fstat(fd.get(), &file) == 0 && !S_ISREG(file.st_mode)) {
    return absl::InvalidArgumentError(fmt::format("{} is not a regular file", path));
  }
  absl::StatusOr<std::string> text = ReadAll(fd.get(), path);
  if (text.ok()) Remembered() = *text;
  return text;
}

const std::optional<std::string>& LoadedConfigurationText() { return Remembered(); }

absl::StatusOr<UniqueFd> MakeConfigurationSnapshot(const std::optional<std::string>& text) {
  if (!text) return UniqueFd();
  UniqueFd fd(::memfd_create("ringmaster-configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "cannot make the configuration snapshot");
  if (!WriteAll(fd.get(), *text)) {
    return absl::ErrnoToStatus(errno, "cannot write the configuration snapshot");
  }
  ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  return fd;
}

}  // namespace ringmaster
