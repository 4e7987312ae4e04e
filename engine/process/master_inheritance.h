#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace ringmaster {

// What a master leaves to the program that takes its place (master_upgrade.cc): one process, two
// programs, so descriptors stay what they are. In one environment variable:
//
//     RINGMASTER_MASTER=layout=1 state=9 configuration=10 previous=11 returned=0
struct MasterInheritance {
  static constexpr char kVariable[] = "RINGMASTER_MASTER";
  static constexpr int kLayout = 1;

  int state_fd = -1;          // a memfd, see Master::SaveState
  int configuration_fd = -1;  // of the generation that serves; -1: the program reads none
  int previous_fd = -1;       // the program that it replaces
  bool returned = false;      // the new program could not take over, and this is the previous one

  std::string ToText() const;
};

// The inheritance of this process; nullptr when it begins as a master, or is none. The first call
// takes the variable out of the environment and makes its descriptors close-on-exec. Errors:
// kInvalidArgument, a variable that no master wrote.
absl::StatusOr<const MasterInheritance*> InheritedMaster();

}  // namespace ringmaster
