#pragma once

#include <cstdint>
#include <string_view>

namespace ringmaster {

// Why a connection ended. Each has its own counter and reaches on_close. Keep kCloseReasonCount and
// close_reason.cc in step; a test walks all of them.
enum class CloseReason : uint8_t {
  kNone,           // still open
  kPeerClosed,     // the peer sent FIN and we had nothing left to say
  kPeerReset,      // ECONNRESET, EPIPE and their kin
  kLocal,          // the application asked
  kProtocolError,  // the peer broke the protocol
  kHandlerError,   // a handler threw
  kHandshakeTimeout,
  kHeaderTimeout,
  kBodyTimeout,
  kBodyRate,  // a body slower than its minimum rate
  kMessageTimeout,
  kReadTimeout,   // idle
  kWriteTimeout,  // the output queue made no progress
  kCloseTimeout,  // the peer did not finish the closing handshake
  kLifetime,
  kConnectTimeout,  // outbound
  kConnectFailed,   // outbound: refused, unreachable, ...
  kSendQueueFull,
  kLimit,  // a limit at the door or on a message
  kServerStopping,
  kMessageRate,  // more messages a second than allowed
  kMemory,       // the worker's buffered bytes were above their hard limit, this one held the most
  kRefused,      // at the door, after a proxy had said for whom it speaks
  kKilled,       // by the operator: `kill ID`
  kNoMemory,     // the system had no memory for what this one needed
};
inline constexpr int kCloseReasonCount = 25;

// "read_timeout", "peer_closed", ...: the name used in logs, status and metrics.
std::string_view CloseReasonName(CloseReason reason);

}  // namespace ringmaster
