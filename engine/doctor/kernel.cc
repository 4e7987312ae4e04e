#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "engine/doctor/groups.h"

namespace ringmaster::doctor {
namespace {

struct KernelVersion {
  int major = 0;
  int minor = 0;

  bool AtLeast(int wanted_major, int wanted_minor) const {
    return major > wanted_major || (major == wanted_major && minor >= wanted_minor);
  }
};

// "6.1.0-37-amd64" → 6.1
std::optional<KernelVersion> ParseVersion(std::string_view release) {
  KernelVersion version;
  const char* const end = release.data() + release.size();
  const auto [dot, major_error] = std::from_chars(release.data(), end, version.major);
  if (major_error != std::errc() || dot == end || *dot != '.') return std::nullopt;
  if (std::from_chars(dot + 1, end, version.minor).ec != std::errc()) return std::nullopt;
  return version;
}

void ExamineVersion(const MachineFiles& machine, Findings& findings) {
  const std::optional<std::string> release = machine.Read("/proc/sys/kernel/osrelease");
  const std::optional<KernelVersion> version =
      release ? ParseVersion(*release) : std::optional<KernelVersion>();
  if (!version) return;
  const std::string found = fmt::format("Linux {}", *release);
  constexpr const char* kRemedy =
      "Debian 12: apt install linux-image-amd64 (6.1), or the newer one of bookworm-backports";
  if (!version->AtLeast(6, 0)) {
    findings.Add(
        Level::kError, "kernel.version", found,
        "A receive that stays armed (multishot) needs 6.0; 6.1 is the oldest that is tested.",
        kRemedy);
  } else if (!version->AtLeast(6, 1)) {
    findings.Add(
        Level::kWarning, "kernel.version", found,
        "Before 6.1 completions interrupt handlers instead of waiting for the end of a turn "
        "(IORING_SETUP_DEFER_TASKRUN), and 6.1 is the oldest that is tested.",
        kRemedy);
  } else if (!version->AtLeast(6, 12)) {
    findings.Add(Level::kNote, "kernel.version", found,
                 "From 6.12 on a busy worker waits for a batch of completions in one call "
                 "(IORING_FEAT_MIN_TIMEOUT): fewer system calls.",
                 "nothing has to be done; a newer kernel is a little faster");
  } else {
    findings.Ok("kernel.version", found);
  }
}

void ExamineIoUring(const MachineFiles& machine, const RingProbe& probe, Findings& findings) {
  const std::optional<int64_t> disabled = machine.ReadNumber("/proc/sys/kernel/io_uring_disabled");
  if (!probe.works) {
    std::string remedy =
        "what the message says; in a container use deploy/container/seccomp.json, under systemd "
        "SystemCallFilter=io_uring_setup io_uring_enter io_uring_register";
    if (disabled == 1) {
      remedy = fmt::format(
          "sysctl -w kernel.io_uring_disabled=0, or put the server's group into "
          "kernel.io_uring_group (it is {})",
          machine.ReadNumber("/proc/sys/kernel/io_uring_group").value_or(-1));
    } else if (disabled == 2) {
      remedy = "sysctl -w kernel.io_uring_disabled=0 (and deploy/sysctl/90-ringmaster.conf)";
    }
    findings.Add(
        Level::kError, "io_uring.ring", fmt::format("a ring cannot be set up: {}", probe.text),
        "The server has no other way to the kernel; it will not start.", std::move(remedy));
  } else {
    findings.Ok("io_uring.ring", fmt::format("a ring was set up: {}", probe.text));
  }
  if (!disabled) return;
  if (*disabled == 0) {
    findings.Ok("io_uring.allowed", "kernel.io_uring_disabled is 0: every user may use it");
  } else if (probe.works) {
    // This process has CAP_SYS_ADMIN or the group; whoever runs the server may have neither.
    findings.Add(
        Level::kWarning, "io_uring.allowed",
        fmt::format("kernel.io_uring_disabled is {}, kernel.io_uring_group is {}; this user may",
                    *disabled, machine.ReadNumber("/proc/sys/kernel/io_uring_group").value_or(-1)),
        "Another user, the one of the service for example, may not.",
        "run this as the server's user: runuser -u ringmaster -- ringmaster doctor; else "
        "sysctl -w kernel.io_uring_group=$(getent group ringmaster | cut -d: -f3)");
  }
}

}  // namespace

void ExamineKernel(const MachineFiles& machine, const RingProbe& probe, Findings& findings) {
  ExamineVersion(machine, findings);
  ExamineIoUring(machine, probe, findings);
}

}  // namespace ringmaster::doctor
