// What another process says of a connection, its stream and its session, and what its peer says
// then. The first two bytes are the length of the state; behind it stands the peer's input.

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "tests/fuzz/connection_state/connection_state_worker.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringmaster;
  static const bool silent = log::Setup("off", "text", "", "fuzz").ok();
  CHECK(silent);
  // One worker for all: a connection that is over must leave nothing behind.
  static ConnectionStateWorker worker;
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t state_bytes = std::min<size_t>(data[0] | data[1] << 8, size - 2);
  worker.LiveThrough(bytes.substr(2, state_bytes), bytes.substr(2 + state_bytes).substr(0, 4096));
  return 0;
}
