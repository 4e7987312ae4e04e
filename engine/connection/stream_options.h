#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/time.h"
#include "engine/limits/rate_limit.h"

namespace ringmaster {

// Every wait of one stream, as a duration. 0 = off. DESIGN: "a timeout is a duration, a deadline is
// the point in time it becomes". Defaults are what a public server wants.
struct Timeouts {
  Duration connect = std::chrono::seconds(5);     // outbound connect(2)
  Duration handshake = std::chrono::seconds(10);  // accept -> first byte; and protocol handshakes
  Duration header = std::chrono::seconds(10);     // first byte of a request head -> its end
  Duration body = std::chrono::seconds(60);       // end of head -> end of body
  Duration message = std::chrono::seconds(60);    // first byte of a message -> its end
  Duration read = std::chrono::seconds(75);       // idle: between messages
  Duration write = std::chrono::seconds(30);      // output queue without progress
  Duration close = std::chrono::seconds(5);       // closing handshake, linger
  Duration lifetime = Duration::zero();           // whole connection

  bool operator==(const Timeouts&) const = default;
};

// What happens to a message for which the output queue has no room. The sender is told what
// happened (SendResult).
enum class SendQueuePolicy : uint8_t {
  kRefuse,      // it is not queued; the sender decides
  kDropNewest,  // it is dropped and counted; for streams where a gap does no harm
  kDropOldest,  // queued messages are dropped, oldest first, until it fits: the newest counts
  kClose,       // the connection is closed: a peer that does not keep up has to go
};

// The bounds of one stream. One object is shared by all connections of a listener or route; a
// connection points at it, so it must outlive them (it lives in the server definition).
struct StreamOptions {
  Timeouts timeouts;
  // A body must arrive at this rate, in bytes per second, once body_grace has passed since it
  // began; 0 = any rate. The total (timeouts.body) alone would let a peer hold a connection that
  // long for one byte.
  uint64_t body_rate_bytes_min = 256;
  Duration body_grace = std::chrono::seconds(10);
  // Output queue: nothing is queued above max, whatever one call asks for; the last 512 bytes of it
  // (an eighth at most) are not for messages but for what the protocol itself has to say, a pong, a
  // goodbye. Receiving pauses above high and resumes below low.
  size_t send_queue_bytes_max = 64u << 20;
  size_t send_queue_bytes_high = 1u << 20;
  size_t send_queue_bytes_low = 256u << 10;
  SendQueuePolicy send_queue_policy = SendQueuePolicy::kRefuse;
  // What the peer may ask for: requests (each is answered; above it the answer is a refusal) and
  // messages (nothing answers them; above it the connection is closed).
  RateLimit request_rate;
  RateLimit message_rate;

  bool operator==(const StreamOptions&) const = default;
};

}  // namespace ringmaster
