#include "engine/sandbox/refused_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/config/spelling.h"

namespace ringmaster {
namespace {

constexpr RefusedCall kRefusedCalls[] = {
    // Another program in this one's place. The master spawns workers, also of a new release.
    {"execve"},
    {"execveat"},

    // The memory and the descriptors of other processes.
    {"ptrace"},
    {"process_vm_readv"},
    {"process_vm_writev"},
    {"process_madvise"},
    {"process_mrelease"},
    {"pidfd_getfd"},
    {"kcmp"},

    // Signals to other processes. A worker raises and queues them for itself: abort(3), the
    // watchdog. tkill(2) does not say to which process its thread belongs; glibc does not use it.
    {"kill", CallRefusal::kOtherProcess},
    {"tgkill", CallRefusal::kOtherProcess},
    {"rt_sigqueueinfo", CallRefusal::kOtherProcess},
    {"rt_tgsigqueueinfo", CallRefusal::kOtherProcess},
    {"tkill"},
    {"pidfd_send_signal"},

    // Another view of the file system, and a way around it.
    {"mount"},
    {"umount"},
    {"umount2"},
    {"pivot_root"},
    {"chroot"},
    {"fsopen"},
    {"fsconfig"},
    {"fsmount"},
    {"fspick"},
    {"move_mount"},
    {"open_tree"},
    {"mount_setattr"},
    {"open_by_handle_at"},

    // Namespaces: a user namespace gives whoever makes one every capability inside it, and much of
    // the kernel that was written for root is then within reach. The flags of clone3 stand in
    // memory, where a filter cannot read them; pthread_create and fork do without it.
    {"unshare"},
    {"setns"},
    {"clone", CallRefusal::kNamespaces},
    {"clone3", CallRefusal::kUnknown},

    // Another identity.
    {"setuid"},
    {"setgid"},
    {"setreuid"},
    {"setregid"},
    {"setresuid"},
    {"setresgid"},
    {"setfsuid"},
    {"setfsgid"},
    {"setgroups"},
    {"capset"},
    {"personality"},

    // Code that was data before. Loading a library (dlopen) maps its file without write permission
    // and needs none of this; a compiler at run time does, and wants mprotect allowed.
    {"mmap", CallRefusal::kWritableExecutable},
    {"mprotect", CallRefusal::kExecutable},
    {"pkey_mprotect", CallRefusal::kExecutable},
    {"shmat", CallRefusal::kSharedExecutable},

    // A worker has its ring, and that is restricted (ring_restrictions.h). A second one would not
    // be, and its operations pass no filter: nothing of this list would hold.
    {"io_uring_setup"},

    // Large parts of the kernel that many exploits begin with.
    {"bpf"},
    {"perf_event_open"},
    {"userfaultfd"},
    {"add_key"},
    {"request_key"},
    {"keyctl"},
    {"modify_ldt"},
    {"uselib"},
    {"lookup_dcookie"},
    {"nfsservctl"},

    // The machine itself: what is left for a worker that stays root.
    {"init_module"},
    {"finit_module"},
    {"delete_module"},
    {"create_module"},
    {"kexec_load"},
    {"kexec_file_load"},
    {"reboot"},
    {"swapon"},
    {"swapoff"},
    {"acct"},
    {"quotactl"},
    {"quotactl_fd"},
    {"iopl"},
    {"ioperm"},
    {"syslog"},
    {"sethostname"},
    {"setdomainname"},
    {"vhangup"},
    {"settimeofday"},
    {"clock_settime"},
    {"adjtimex"},
    {"clock_adjtime"},

    // Keystrokes into the terminal from which the server was started, which is often root's.
    {"ioctl", CallRefusal::kTerminalInput},
};

}  // namespace

std::span<const RefusedCall> RefusedCalls() { return kRefusedCalls; }

absl::Status CheckAllowedCall(std::string_view name) {
  std::vector<std::string_view> names;
  for (const RefusedCall& call : kRefusedCalls) names.push_back(call.name);
  if (std::find(names.begin(), names.end(), name) != names.end()) return absl::OkStatus();
  const std::string_view nearest = config::NearestWord(name, names);
  return absl::InvalidArgumentError(
      fmt::format("the sandbox refuses no system call \"{}\"; there is nothing to allow{}", name,
                  nearest.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", nearest)));
}

}  // namespace ringmaster
