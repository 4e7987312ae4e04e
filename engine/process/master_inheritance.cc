#include "engine/process/master_inheritance.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace ringmaster {
namespace {

absl::StatusOr<std::optional<MasterInheritance>> TakeFromEnvironment() {
  const char* const variable = std::getenv(MasterInheritance::kVariable);
  if (variable == nullptr) return std::nullopt;
  MasterInheritance inheritance;
  int layout = 0;
  int returned = 0;
  const int read = std::sscanf(
      variable, "layout=%d state=%d configuration=%d previous=%d returned=%d", &layout,
      &inheritance.state_fd, &inheritance.configuration_fd, &inheritance.previous_fd, &returned);
  ::unsetenv(MasterInheritance::kVariable);
  inheritance.returned = returned != 0;
  bool open = read == 5 && layout == MasterInheritance::kLayout;
  for (const int fd : {inheritance.state_fd, inheritance.previous_fd}) {
    open = open && ::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
  }
  if (inheritance.configuration_fd >= 0) {
    open = open && ::fcntl(inheritance.configuration_fd, F_SETFD, FD_CLOEXEC) == 0;
  }
  if (!open) {
    return absl::InvalidArgumentError(fmt::format("{} is of another release; it is set by a master",
                                                  MasterInheritance::kVariable));
  }
  return inheritance;
}

}  // namespace

std::string MasterInheritance::ToText() const {
  return fmt::format("layout={} state={} configuration={} previous={} returned={:d}", kLayout,
                     state_fd, configuration_fd, previous_fd, returned);
}

absl::StatusOr<const MasterInheritance*> InheritedMaster() {
  static const absl::StatusOr<std::optional<MasterInheritance>> inheritance = TakeFromEnvironment();
  if (!inheritance.ok()) return inheritance.status();
  return inheritance->has_value() ? &**inheritance : nullptr;
}

}  // namespace ringmaster
