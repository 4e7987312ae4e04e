#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/worker/worker_environment.h"

namespace ringmaster {

// What a worker process gets from its master beside its command line: descriptors, by number, and a
// few figures, as text in one environment variable:
//
//     RINGMASTER_WORKER=layout=3 index=0 generation=1 prefix=1 standby=0 control=7 inbox=10
//                       door=12 shared=5 limits=4 report=8 configuration=6 cpu=2
//                       connections_max=1048000 admin=0 nice=0 listeners=0:9,1:11
//
// The descriptors named here are all that a worker inherits besides 0, 1 and 2.
struct WorkerInheritance {
  static constexpr char kVariable[] = "RINGMASTER_WORKER";
  // Raise it when a key changes its meaning: after an upgrade, master and worker may differ.
  static constexpr int kLayout = 3;

  uint32_t index = 0;
  uint32_t generation = 1;
  uint16_t connection_prefix = 0;  // WorkerEnvironment
  bool standby = false;            // WorkerEnvironment
  int control_fd = -1;
  int inbox_fd = -1;
  int door_fd = -1;  // WorkerEnvironment
  int shared_fd = -1;
  int limits_fd = -1;         // -1 = no limit that workers share
  int report_fd = -1;         // connection_inquiry.h
  int configuration_fd = -1;  // -1 = the program has no configuration file
  int cpu = -1;
  uint32_t connections_max = 0;
  bool admin = false;       // the admin process; listening_sockets has its listener alone
  std::optional<int> nice;  // start_priority.h: to return to; absent = it has not made way
  std::vector<ListeningSocket> listening_sockets;

  std::string ToText() const;
  // Errors: kInvalidArgument.
  static absl::StatusOr<WorkerInheritance> Parse(std::string_view text);
  std::vector<int> Descriptors() const;
};

// The inheritance of this process; nullptr when it is no worker. The first call takes the variable
// out of the environment and makes the descriptors close-on-exec: what a handler starts inherits
// neither. Errors, as of Parse, or a descriptor that is not open.
absl::StatusOr<const WorkerInheritance*> InheritedRole();

}  // namespace ringmaster
