#include "engine/sandbox/account.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <charconv>
#include <string_view>

namespace ringmaster {
namespace {

// What sysconf(_SC_GETPW_R_SIZE_MAX) says is a hint; a group with thousands of members has more.
constexpr size_t kEntryBytesMax = 256 * 1024;

bool ParseNumber(std::string_view text, uint32_t& number) {
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  // The largest stands for "unchanged" in chown(2) and setresuid(2).
  return error == std::errc() && rest == end && number != static_cast<uint32_t>(-1);
}

struct UserEntry {
  std::string name;
  uid_t uid;
  gid_t gid;
};

std::optional<UserEntry> UserEntryOf(const std::string& user) {
  std::vector<char> buffer(kEntryBytesMax);
  passwd entry = {};
  passwd* found = nullptr;
  uid_t uid = 0;
  if (ParseNumber(user, uid)) {
    ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  } else {
    ::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
  }
  if (found == nullptr) return std::nullopt;
  return UserEntry{found->pw_name, found->pw_uid, found->pw_gid};
}

std::vector<gid_t> GroupsOf(const std::string& user, gid_t gid) {
  int count = 64;
  std::vector<gid_t> groups(static_cast<size_t>(count));
  if (::getgrouplist(user.c_str(), gid, groups.data(), &count) < 0) {
    groups.resize(static_cast<size_t>(count));
    if (::getgrouplist(user.c_str(), gid, groups.data(), &count) < 0) count = 0;
  }
  groups.resize(static_cast<size_t>(count));
  return groups;
}

}  // namespace

absl::StatusOr<uid_t> FindUser(const std::string& user) {
  uid_t uid = 0;
  if (ParseNumber(user, uid)) return uid;
  if (const std::optional<UserEntry> entry = UserEntryOf(user)) return entry->uid;
  return absl::InvalidArgumentError(fmt::format("there is no user \"{}\" here", user));
}

absl::StatusOr<gid_t> FindGroup(const std::string& name) {
  gid_t gid = 0;
  if (ParseNumber(name, gid)) return gid;
  std::vector<char> buffer(kEntryBytesMax);
  group entry = {};
  group* found = nullptr;
  ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return absl::InvalidArgumentError(fmt::format("there is no group \"{}\" here", name));
  }
  return found->gr_gid;
}

absl::StatusOr<std::optional<Account>> FindAccount(const std::string& user,
                                                   const std::string& group) {
  if (user.empty() && group.empty()) return std::nullopt;
  Account account;
  if (!group.empty()) {
    const absl::StatusOr<gid_t> gid = FindGroup(group);
    if (!gid.ok()) return gid.status();
    account.gid = *gid;
  }
  if (user.empty()) {
    account.uid = ::geteuid();
    account.groups = {account.gid};
    if (account.uid != 0) return account;
    return absl::InvalidArgumentError(fmt::format(
        "group \"{}\" without a user: a worker that stays root can take any group; set user, too",
        group));
  }
  const absl::StatusOr<uid_t> uid = FindUser(user);
  if (!uid.ok()) return uid.status();
  if (*uid == 0) {
    return absl::InvalidArgumentError(fmt::format(
        "user \"{}\" is root: name an account with fewer rights, or leave user out to stay", user));
  }
  account.uid = *uid;
  const std::optional<UserEntry> entry = UserEntryOf(user);
  if (!entry && group.empty()) {
    return absl::InvalidArgumentError(fmt::format(
        "user \"{}\" has no entry in the password database that says its group: set group, too",
        user));
  }
  if (group.empty()) account.gid = entry->gid;
  account.groups = entry ? GroupsOf(entry->name, account.gid) : std::vector<gid_t>{account.gid};
  return account;
}

}  // namespace ringmaster
