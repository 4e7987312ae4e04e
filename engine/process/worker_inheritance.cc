#include "engine/process/worker_inheritance.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <optional>

namespace ringmaster {
namespace {

template <typename Integer>
bool ParseInteger(std::string_view text, Integer& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::string_view TakeUntil(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return taken;
}

bool ParseList(std::string_view text, std::vector<ListeningSocket>& sockets) {
  sockets.clear();
  while (!text.empty()) {
    std::string_view pair = TakeUntil(text, ',');
    ListeningSocket& socket = sockets.emplace_back();
    if (!ParseInteger(TakeUntil(pair, ':'), socket.listener) || !ParseInteger(pair, socket.fd)) {
      return false;
    }
  }
  return true;
}

absl::StatusOr<std::optional<WorkerInheritance>> TakeFromEnvironment() {
  const char* variable = std::getenv(WorkerInheritance::kVariable);
  if (variable == nullptr) return std::nullopt;
  absl::StatusOr<WorkerInheritance> role = WorkerInheritance::Parse(variable);
  ::unsetenv(WorkerInheritance::kVariable);
  if (!role.ok()) return role.status();
  for (const int fd : role->Descriptors()) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      return absl::InvalidArgumentError(
          fmt::format("{} names descriptor {}, which is not open; it is set by the master alone",
                      WorkerInheritance::kVariable, fd));
    }
  }
  return *role;
}

}  // namespace

std::string WorkerInheritance::ToText() const {
  std::vector<std::string> listeners;
  for (const auto& [listener, fd] : listening_sockets) {
    listeners.push_back(fmt::format("{}:{}", listener, fd));
  }
  return fmt::format(
      "layout={} index={} generation={} prefix={} standby={:d} control={} inbox={} door={} "
      "shared={} "
      "limits={} report={} configuration={} cpu={} connections_max={} admin={:d}{} listeners={}",
      kLayout, index, generation, connection_prefix, standby, control_fd, inbox_fd, door_fd,
      shared_fd, limits_fd, report_fd, configuration_fd, cpu, connections_max, admin,
      nice ? fmt::format(" nice={}", *nice) : "", fmt::join(listeners, ","));
}

absl::StatusOr<WorkerInheritance> WorkerInheritance::Parse(std::string_view text) {
  WorkerInheritance role;
  int layout = 0;
  int admin = 0;
  int standby = 0;
  while (!text.empty()) {
    std::string_view value = TakeUntil(text, ' ');
    const std::string_view key = TakeUntil(value, '=');
    const bool ok = key == "layout"            ? ParseInteger(value, layout)
                    : key == "index"           ? ParseInteger(value, role.index)
                    : key == "generation"      ? ParseInteger(value, role.generation)
                    : key == "prefix"          ? ParseInteger(value, role.connection_prefix)
                    : key == "standby"         ? ParseInteger(value, standby)
                    : key == "inbox"           ? ParseInteger(value, role.inbox_fd)
                    : key == "door"            ? ParseInteger(value, role.door_fd)
                    : key == "control"         ? ParseInteger(value, role.control_fd)
                    : key == "shared"          ? ParseInteger(value, role.shared_fd)
                    : key == "limits"          ? ParseInteger(value, role.limits_fd)
                    : key == "report"          ? ParseInteger(value, role.report_fd)
                    : key == "configuration"   ? ParseInteger(value, role.configuration_fd)
                    : key == "cpu"             ? ParseInteger(value, role.cpu)
                    : key == "connections_max" ? ParseInteger(value, role.connections_max)
                    : key == "admin"           ? ParseInteger(value, admin)
                    : key == "nice"            ? ParseInteger(value, role.nice.emplace())
                    : key == "listeners"       ? ParseList(value, role.listening_sockets)
                                               : false;
    if (!ok) {
      return absl::InvalidArgumentError(
          fmt::format("{}: \"{}={}\" is not understood", kVariable, key, value));
    }
  }
  if (layout != kLayout || role.control_fd < 0 || role.shared_fd < 0) {
    return absl::InvalidArgumentError(fmt::format(
        "{} is incomplete or of another release; it is set by the master alone", kVariable));
  }
  role.admin = admin != 0;
  role.standby = standby != 0;
  return role;
}

std::vector<int> WorkerInheritance::Descriptors() const {
  std::vector<int> descriptors;
  for (const ListeningSocket& socket : listening_sockets) descriptors.push_back(socket.fd);
  descriptors.push_back(control_fd);
  if (inbox_fd >= 0) descriptors.push_back(inbox_fd);
  if (door_fd >= 0) descriptors.push_back(door_fd);
  descriptors.push_back(shared_fd);
  if (limits_fd >= 0) descriptors.push_back(limits_fd);
  if (report_fd >= 0) descriptors.push_back(report_fd);
  if (configuration_fd >= 0) descriptors.push_back(configuration_fd);
  return descriptors;
}

absl::StatusOr<const WorkerInheritance*> InheritedRole() {
  static const absl::StatusOr<std::optional<WorkerInheritance>> role = TakeFromEnvironment();
  if (!role.ok()) return role.status();
  return role->has_value() ? &**role : nullptr;
}

}  // namespace ringmaster
