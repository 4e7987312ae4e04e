#pragma once

#include <cstdint>
#include <string>

#include "engine/ring/ring_setup.h"

namespace ringmaster::doctor {

// What the server that is to run here asks of the machine.
struct ServerPlan {
  uint32_t workers = 1;
  bool pin_workers = true;
  uint32_t worker_connections_max = 0;  // 0 = what RLIMIT_NOFILE leaves
  size_t listener_count = 1;
  int backlog_max = 4096;
  uint64_t buffered_bytes_hard = 512u << 20;  // of a worker; 0 = no limit
  RingOptions ring;
  std::string runtime_directory;  // of pid file and control socket
  std::string log_file;           // empty = standard error
};

// What trying out a real ring has shown.
struct RingProbe {
  bool works = false;
  std::string text;  // how it was set up, or why it was not
};

}  // namespace ringmaster::doctor
