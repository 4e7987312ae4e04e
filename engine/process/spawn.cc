#include "engine/process/spawn.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

#include "engine/process/admin_server.h"
#include "engine/process/signals.h"
#include "engine/process/start_priority.h"

namespace ringmaster {
namespace {

bool IsAdminToken(std::string_view variable) {
  return variable.starts_with(kAdminTokenVariable) &&
         variable.substr(std::size(kAdminTokenVariable) - 1).starts_with('=');
}

std::vector<std::string> EnvironmentOf(const WorkerProgram::Child& child) {
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    // The token is the admin process's business; what a worker's handlers start would inherit it.
    if (!child.knows_admin_token && IsAdminToken(*variable)) continue;
    environment.emplace_back(*variable);
  }
  environment.push_back(child.variable);
  return environment;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Closes all descriptors but the standard streams and `kept` (ascending). Also those that this
// process inherited by accident, a shell's pipe for one.
void CloseAllBut(const std::vector<int>& kept) {
  unsigned first = STDERR_FILENO + 1;
  for (const int fd : kept) {
    const auto next = static_cast<unsigned>(fd);
    if (next < first) continue;
    if (next > first) ::close_range(first, next - 1, 0);
    first = next + 1;
  }
  ::close_range(first, ~0U, 0);
}

// The child, between fork and exec: async-signal-safe calls only, nothing allocated. `kept` is the
// executable, and what the child inherits.
[[noreturn]] void Execute(int executable, char* const* arguments, char* const* environment,
                          const WorkerProgram::Child& child, const std::vector<int>& kept) {
  PrepareSignalsForWorker();
  if (child.stderr_fd >= 0) ::dup2(child.stderr_fd, STDERR_FILENO);
  // Not left to exec: who makes way may be long in coming to it, and until then would hold the lock
  // of a master that has died, and its ends of other workers' sockets.
  CloseAllBut(kept);
  if (child.makes_way) MakeWay();
  for (const int fd : child.descriptors) ::fcntl(fd, F_SETFD, 0);
  ::execveat(executable, "", arguments, environment, AT_EMPTY_PATH);
  const char* reason = std::strerror(errno);
  constexpr std::string_view kWhat = "cannot execute the worker's program: ";
  (void)!::write(STDERR_FILENO, kWhat.data(), kWhat.size());
  (void)!::write(STDERR_FILENO, reason, std::strlen(reason));
  (void)!::write(STDERR_FILENO, "\n", 1);
  ::_exit(127);
}

}  // namespace

absl::StatusOr<WorkerProgram> WorkerProgram::OfThisProcess(std::vector<std::string> arguments) {
  char path[PATH_MAX];
  const ssize_t bytes = ::readlink("/proc/self/exe", path, sizeof(path));
  absl::StatusOr<WorkerProgram> program = At("/proc/self/exe", std::move(arguments));
  if (!program.ok() || bytes < 0) {
    return absl::ErrnoToStatus(errno, "cannot open /proc/self/exe (is /proc mounted?)");
  }
  program->path_.assign(path, static_cast<size_t>(bytes));
  // So the kernel shows a file that was replaced since it was executed.
  constexpr std::string_view kDeleted = " (deleted)";
  if (program->path_.ends_with(kDeleted)) {
    program->path_.resize(program->path_.size() - kDeleted.size());
  }
  return program;
}

absl::StatusOr<WorkerProgram> WorkerProgram::At(std::string path,
                                                std::vector<std::string> arguments) {
  WorkerProgram program;
  program.executable_.Reset(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!program.executable_.valid()) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot open the program {}", path));
  }
  program.path_ = std::move(path);
  program.arguments_ = std::move(arguments);
  return program;
}

WorkerProgram WorkerProgram::Resume(UniqueFd executable, std::string path,
                                    std::vector<std::string> arguments) {
  WorkerProgram program;
  program.executable_ = std::move(executable);
  program.path_ = std::move(path);
  program.arguments_ = std::move(arguments);
  return program;
}

absl::StatusOr<pid_t> WorkerProgram::Spawn(const WorkerInheritance& role,
                                           const std::string& title) const {
  Child child;
  child.title = title;
  child.variable = fmt::format("{}={}", WorkerInheritance::kVariable, role.ToText());
  child.descriptors = role.Descriptors();
  child.knows_admin_token = role.admin;
  child.makes_way = role.nice.has_value();
  return Spawn(child);
}

absl::StatusOr<pid_t> WorkerProgram::Spawn(const Child& child) const {
  std::vector<std::string> arguments = {child.title};
  arguments.insert(arguments.end(), arguments_.begin(), arguments_.end());
  std::vector<std::string> environment = EnvironmentOf(child);
  const std::vector<char*> argument_pointers = Pointers(arguments);
  const std::vector<char*> environment_pointers = Pointers(environment);
  std::vector<int> kept = child.descriptors;
  kept.push_back(executable_.get());
  std::sort(kept.begin(), kept.end());
  // What stands in our stdio buffers must not be written twice.
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    Execute(executable_.get(), argument_pointers.data(), environment_pointers.data(), child, kept);
  }
  if (pid < 0) {
    return absl::ErrnoToStatus(
        errno, fmt::format("cannot fork {} (look at `ulimit -u`, pids.max)", child.title));
  }
  return pid;
}

}  // namespace ringmaster
