#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/e2e/programs/steady/event_loop.h"

namespace steady {

struct Options {
  uint16_t port = 0;
  uint32_t connects_per_second = 1200;
  size_t keepalive = 100;
  size_t websockets = 100;
  size_t idle_websockets = 0;
  uint32_t idle_probes_per_second = 0;
  Nanoseconds interval = 50 * kMillisecond;
  Nanoseconds timeout = 5 * kSecond;
  Nanoseconds duration = 0;  // 0: until told
  bool until_stdin_ends = false;
  bool progress = false;
  std::string hello_path = "/hello";
  std::string echo_path = "/echo";
  std::string websocket_path = "/ws";
  std::string origin;       // filled in by ReadOptions
  std::string expect_body;  // when has_expect_body
  bool has_expect_body = false;
  std::string generation_header;
};

// What the command line asks for. Prints what is wrong, or the help, and ends the program.
Options ReadOptions(int argc, char** argv);

}  // namespace steady
