#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/descriptor_passing.h"

namespace ringmaster {

// How connections go from worker to worker, over a SOCK_SEQPACKET pair that the master has made:
//
//     giver -> taker   version, sequence, count, more   with a memfd and `count` sockets
//     taker -> giver   sequence, a byte for each: 1 = I can take it, 0 = keep it
//     giver -> taker   sequence, a byte for each: 1 = it is yours, 0 = it stays here
//
// The memfd holds a state for each socket: the listener it came in through, the connection
// (Connection::Save), the session (Session::Save). One batch is under way at a time.
//
// The giver has the last word, because its loop goes on while a batch is under way: a connection of
// which meanwhile a timer, an operator or another connection's handler wanted something is no
// longer what was sent, and stays. A connection belongs to the giver until it has said "yours", and
// neither touches its socket before.
//
// Who ends: a giver that lives says "stays" of what it has not decided, whatever makes it end. So a
// channel that ends without a word ends because the giver's process has, and all that the taker can
// take is the taker's. If the taker dies before the giver's word, all of the batch stay. If it dies
// behind it, what it has not touched comes back (reserve.h); so while there is `more` to come at
// once, a taker that does not serve yet lets what is its own stand still, for some milliseconds
// (HandoffTaker::BeginWaiting).
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
