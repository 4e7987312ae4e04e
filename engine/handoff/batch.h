#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/descriptor_passing.h"

namespace ringmaster {

// How connections go from worker to worker, over a SOCK_SEQPACKET pair that the master has made:
//
//     giver -> taker   version, sequence, count   with a memfd and `count` sockets
//     taker -> giver   sequence, a byte for each: 1 = it is mine now, 0 = keep it
//
// The memfd holds a state for each socket: the listener it came in through, the connection
// (Connection::Save), the session (Session::Save). One batch is under way at a time; a connection
// belongs to the giver until it has read the answer, and neither touches its socket meanwhile. If
// the taker dies before it has answered, all of the batch stay where they were.
struct HandoffBatch {
  static constexpr uint32_t kVersion = 1;
  static constexpr size_t kConnectionsMax = kDescriptorsPerMessageMax - 1;
  // A batch ends with the connection whose state exceeds this.
  static constexpr size_t kBytesUsual = size_t{8} << 20;
  // More cannot come from an honest giver: one connection's queues, and the usual.
  static constexpr size_t kBytesMax = size_t{5} << 30;
  static constexpr size_t kMessageBytesMax = 512;
};

}  // namespace ringmaster
