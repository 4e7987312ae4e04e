#include "engine/connection/close_reason.h"

namespace ringmaster {

std::string_view CloseReasonName(CloseReason reason) {
  switch (reason) {
    case CloseReason::kNone:
      return "none";
    case CloseReason::kPeerClosed:
      return "peer_closed";
    case CloseReason::kPeerReset:
      return "peer_reset";
    case CloseReason::kLocal:
      return "local";
    case CloseReason::kProtocolError:
      return "protocol_error";
    case CloseReason::kHandlerError:
      return "handler_error";
    case CloseReason::kHandshakeTimeout:
      return "handshake_timeout";
    case CloseReason::kHeaderTimeout:
      return "header_timeout";
    case CloseReason::kBodyTimeout:
      return "body_timeout";
    case CloseReason::kBodyRate:
      return "body_rate";
    case CloseReason::kMessageTimeout:
      return "message_timeout";
    case CloseReason::kReadTimeout:
      return "read_timeout";
    case CloseReason::kWriteTimeout:
      return "write_timeout";
    case CloseReason::kCloseTimeout:
      return "close_timeout";
    case CloseReason::kLifetime:
      return "lifetime";
    case CloseReason::kConnectTimeout:
      return "connect_timeout";
    case CloseReason::kConnectFailed:
      return "connect_failed";
    case CloseReason::kSendQueueFull:
      return "send_queue_full";
    case CloseReason::kLimit:
      return "limit";
    case CloseReason::kServerStopping:
      return "server_stopping";
    case CloseReason::kMessageRate:
      return "message_rate";
    case CloseReason::kMemory:
      return "memory";
    case CloseReason::kRefused:
      return "refused";
    case CloseReason::kKilled:
      return "killed";
    case CloseReason::kNoMemory:
      return "no_memory";
  }
  return "unknown";
}

}  // namespace ringmaster
