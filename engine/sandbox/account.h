#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ringmaster {

// Names and numbers of passwd(5) and group(5). A number need not have an entry.
// Errors: kInvalidArgument, naming what is not there.
absl::StatusOr<uid_t> FindUser(const std::string& user);
absl::StatusOr<gid_t> FindGroup(const std::string& group);

// Whom a process becomes: a user, its group, its supplementary groups.
struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // setgroups(2); those of group(5), and `gid`
};

// The account of ServerOptions::user and ::group; nullopt when both are empty: stay. Without a
// group, the user's own. A user without an entry needs a group; root is none that one drops to, and
// a group alone is refused to root, who could take any other back.
// Errors: kInvalidArgument.
absl::StatusOr<std::optional<Account>> FindAccount(const std::string& user,
                                                   const std::string& group);

}  // namespace ringmaster
