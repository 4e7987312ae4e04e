// What another process says of a session, and what its peer says then. The first byte chooses the
// protocol, the next two are the length of the state, and behind the state stands the peer's input.

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "engine/base/check.h"
#include "tests/fuzz/session_state/session_state_server.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringmaster;
  // One worker for all: a connection that is over must leave nothing behind.
  static SessionStateServer server;
  static Lines before;  // what the connection spoke until it moved, if it had not come by a move
  static MovingWorker worker(before);
  // What one receive buffer brings and a session may hold of it, with what they are kept in.
  constexpr size_t kHeldBytesMax = 4096 + 16 * 1024 + kMessageBytesMax;
  constexpr size_t kInputBytesMax = 4096;

  if (size < 3) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t state_bytes = std::min<size_t>(data[1] | data[2] << 8, size - 3);
  const std::string_view state = bytes.substr(3, state_bytes);
  const std::string_view input = bytes.substr(3 + state_bytes).substr(0, kInputBytesMax);

  MovingWorker::Peer peer = worker.Connect();
  if (peer.Restore(server.ProtocolOf(data[0]), state)) {
    // In two pieces: what was begun before the move, inside it, and behind it.
    peer.Feed(input.substr(0, input.size() / 2));
    CHECK(worker.worker().buffered_bytes() <= kHeldBytesMax);
    peer.Feed(input.substr(input.size() / 2));
    CHECK(worker.worker().buffered_bytes() <= kHeldBytesMax);
    // Moved on, it comes to the same: what a session saves it can be made of.
    if (Connection* connection = peer.connection()) {
      if (const auto again = SaveSession(*connection)) {
        CHECK(peer.Restore(server.ProtocolOf(data[0]), *again));
      }
    }
  }
  peer.Read();
  peer.Finish();
  if (Connection* connection = peer.connection()) connection->Abort(CloseReason::kLocal);
  worker.AdvanceTime(std::chrono::milliseconds(1));
  CHECK(peer.connection() == nullptr);
  CHECK(worker.worker().buffered_bytes() == 0);
  return 0;
}
