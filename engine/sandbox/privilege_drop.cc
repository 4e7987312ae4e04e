#include "engine/sandbox/privilege_drop.h"

#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "engine/sandbox/account.h"
#include "engine/sandbox/capabilities.h"

namespace ringmaster {
namespace {

struct Ids {
  uid_t real_uid, effective_uid, saved_uid;
  gid_t real_gid, effective_gid, saved_gid;
};

Ids CurrentIds() {
  Ids ids = {};
  ::getresuid(&ids.real_uid, &ids.effective_uid, &ids.saved_uid);
  ::getresgid(&ids.real_gid, &ids.effective_gid, &ids.saved_gid);
  return ids;
}

bool IsAlready(const Account& account) {
  const Ids ids = CurrentIds();
  return ids.real_uid == account.uid && ids.effective_uid == account.uid &&
         ids.saved_uid == account.uid && ids.real_gid == account.gid &&
         ids.effective_gid == account.gid && ids.saved_gid == account.gid;
}

std::string NameOf(const std::string& user, const std::string& group) {
  if (group.empty()) return fmt::format("user {}", user);
  return user.empty() ? fmt::format("group {}", group)
                      : fmt::format("user {} and group {}", user, group);
}

absl::Status Failed(int error, const char* call, const std::string& who) {
  return absl::ErrnoToStatus(error, fmt::format("cannot become {}: {}", who, call));
}

// Groups before the user: afterwards the right to change them is gone.
absl::Status Become(const Account& account, const std::string& who) {
  if (::setgroups(account.groups.size(), account.groups.data()) != 0) {
    return Failed(errno, "setgroups", who);
  }
  if (::setresgid(account.gid, account.gid, account.gid) != 0) {
    return Failed(errno, "setresgid", who);
  }
  if (::setresuid(account.uid, account.uid, account.uid) != 0) {
    return Failed(errno, "setresuid", who);
  }
  return absl::OkStatus();
}

// What an exploit would try first.
absl::Status VerifyNoWayBack(const Account& account, const Ids& before) {
  if (!IsAlready(account)) {
    return absl::InternalError("the kernel reports another user or group than was set");
  }
  const auto unchanged = static_cast<uid_t>(-1);
  if (::setresuid(unchanged, 0, unchanged) == 0) {
    return absl::InternalError("it could become root again: setresuid was not refused");
  }
  if (before.effective_gid != account.gid &&
      ::setresgid(unchanged, before.effective_gid, unchanged) == 0) {
    return absl::InternalError("it could take its old group back: setresgid was not refused");
  }
  if (::setgroups(account.groups.size(), account.groups.data()) == 0) {
    return absl::InternalError("it could still change its groups: setgroups was not refused");
  }
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
    return absl::InternalError("no_new_privs is not set");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPrivilegeDrop(const std::string& user, const std::string& group) {
  const absl::StatusOr<std::optional<Account>> account = FindAccount(user, group);
  if (!account.ok()) return account.status();
  if (!account->has_value() || IsAlready(**account)) return absl::OkStatus();
  if (HasCapability(CAP_SETUID) && HasCapability(CAP_SETGID)) return absl::OkStatus();
  return absl::PermissionDeniedError(fmt::format(
      "workers are to become {}, but this process (uid {}) may not change its user: start it as "
      "root (CAP_SETUID, CAP_SETGID), or leave user and group out",
      NameOf(user, group), ::geteuid()));
}

absl::Status DropPrivileges(const std::string& user, const std::string& group) {
  const absl::StatusOr<std::optional<Account>> account = FindAccount(user, group);
  if (!account.ok()) return account.status();
  if (!account->has_value()) return absl::OkStatus();
  const Ids before = CurrentIds();
  ClearBoundingSet();
  // Who is that account already, as systemd's User= makes it, need not have the right to change.
  absl::Status status =
      IsAlready(**account) ? absl::OkStatus() : Become(**account, NameOf(user, group));
  if (status.ok()) status = ClearCapabilities();
  if (!status.ok()) return status;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return absl::ErrnoToStatus(errno, "cannot set no_new_privs");
  }
  return VerifyNoWayBack(**account, before);
}

}  // namespace ringmaster
