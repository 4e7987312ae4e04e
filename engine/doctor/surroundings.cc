#include <fmt/format.h>

#include <optional>

#include "engine/doctor/groups.h"

namespace ringmaster::doctor {
namespace {

void ExamineProcess(const MachineFiles& machine, Findings& findings) {
  const std::string status = machine.Read("/proc/self/status").value_or("");
  // "Uid: real effective saved file system"
  if (const std::optional<std::string_view> uids = FindField(status, "Uid")) {
    const std::vector<std::string_view> words = SplitWords(*uids);
    const std::string_view effective = words.size() > 1 ? words[1] : "?";
    if (effective == "0") {
      findings.Add(
          Level::kNote, "sandbox.user", "this runs as root, and so would the server",
          "Whatever gets into a worker owns the machine. Limits and rights of another user are "
          "also not seen here.",
          "User=ringmaster in the unit (deploy/systemd/ringmaster.service); examine it with "
          "runuser -u ringmaster -- ringmaster doctor CONFIGURATION");
    } else {
      findings.Ok("sandbox.user", fmt::format("this runs as user {}", effective));
    }
  }
  const std::optional<std::string_view> seccomp = FindField(status, "Seccomp");
  if (!seccomp) return;
  const bool no_new_privileges = FindField(status, "NoNewPrivs") == "1";
  const std::string found =
      fmt::format("system calls are {}filtered; new privileges are {}",
                  *seccomp == "0" ? "not " : "", no_new_privileges ? "impossible" : "possible");
  if (*seccomp == "0" || !no_new_privileges) {
    findings.Add(Level::kNote, "sandbox.filter", found,
                 "A service that is hardened has both. In a shell it is usual that neither is so.",
                 "deploy/systemd/ringmaster.service, or deploy/container/ with its seccomp.json");
  } else {
    findings.Ok("sandbox.filter", found);
  }
}

void ExamineContainer(const MachineFiles& machine, Findings& findings) {
  std::optional<std::string> kind;
  if (machine.Exists("/.dockerenv")) kind = "docker";
  if (machine.Exists("/run/.containerenv")) kind = "podman";
  if (const auto name = machine.Read("/run/systemd/container")) kind = *name;
  if (!kind) {
    findings.Ok("sandbox.container", "no container");
    return;
  }
  findings.Add(
      Level::kNote, "sandbox.container", fmt::format("this is a container ({})", *kind),
      "Most sysctls, interrupts and the frequency are the host's, and what is found here of them "
      "may be the container's view only.",
      "run it on the host, too; net.* of the container: --sysctl net.core.somaxconn=4096");
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void ExamineDirectory(const MachineFiles& machine, const std::string& id, const std::string& what,
                      const std::string& directory, Findings& findings) {
  if (machine.MayWrite(directory)) {
    findings.Ok(id, fmt::format("{} may be written in {}", what, directory));
    return;
  }
  const bool exists = machine.Exists(directory);
  findings.Add(
      Level::kError, id,
      fmt::format("{} cannot be written in {}: {}", what, directory,
                  exists ? "no right to" : "there is no such directory"),
      "The server does not start.",
      fmt::format("{} {}; under systemd RuntimeDirectory=, LogsDirectory= or ReadWritePaths=",
                  exists ? "chown ringmaster:" : "install -d -o ringmaster -g ringmaster -m 750",
                  directory));
}

}  // namespace

void ExamineSurroundings(const MachineFiles& machine, const ServerPlan& plan, Findings& findings) {
  ExamineProcess(machine, findings);
  ExamineContainer(machine, findings);
  if (!plan.runtime_directory.empty()) {
    ExamineDirectory(machine, "files.runtime", "pid file and control socket",
                     plan.runtime_directory, findings);
  }
  if (!plan.log_file.empty()) {
    ExamineDirectory(machine, "files.log", "the log", ParentOf(plan.log_file), findings);
  }
}

}  // namespace ringmaster::doctor
