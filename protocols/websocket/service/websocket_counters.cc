#include "protocols/websocket/service/websocket_counters.h"

#include <fmt/format.h>

namespace ringmaster::websocket {
namespace {

WebSocketCounters RegisterAll() {
  WebSocketCounters slots = {};
  slots.open = CounterNames::Register("websocket_open", "WebSockets open now");
  slots.accepted = CounterNames::Register("websocket_accepted", "WebSocket handshakes accepted");
  for (int i = 1; i < kHandshakeErrorCount; ++i) {
    const auto error = static_cast<HandshakeError>(i);
    slots.refused_handshake[i] = CounterNames::Register(
        fmt::format("websocket_refused_{}", HandshakeErrorName(error)),
        fmt::format("WebSocket handshakes refused: {}", HandshakeErrorReason(error)));
  }
  for (int i = 1; i < kOriginVerdictCount; ++i) {
    const auto verdict = static_cast<OriginVerdict>(i);
    slots.refused_origin[i] = CounterNames::Register(
        fmt::format("websocket_refused_origin_{}", OriginVerdictName(verdict)),
        fmt::format("WebSocket handshakes refused: {}", OriginVerdictReason(verdict)));
  }
  slots.refused_by_application = CounterNames::Register(
      "websocket_refused_by_application", "WebSocket handshakes refused by on_upgrade");
  slots.refused_stopping = CounterNames::Register("websocket_refused_stopping",
                                                  "WebSocket handshakes refused: stopping");
  slots.failed_protocol_error =
      CounterNames::Register("websocket_failed_protocol_error",
                             "WebSockets failed with 1002: the peer broke the protocol");
  slots.failed_invalid_utf8 = CounterNames::Register("websocket_failed_invalid_utf8",
                                                     "WebSockets failed with 1007: text not UTF-8");
  slots.failed_message_limit = CounterNames::Register(
      "websocket_failed_message_limit",
      "WebSockets failed with 1009 or 1008: message too large, too many fragments");
  return slots;
}

}  // namespace

const WebSocketCounters& WebSocketCounters::Get() {
  static const WebSocketCounters slots = RegisterAll();
  return slots;
}

void CountFrameError(WorkerCounters& counters, CloseCode code) {
  const WebSocketCounters& slots = WebSocketCounters::Get();
  int slot = slots.failed_protocol_error;
  if (code == CloseCode::kInvalidPayload) slot = slots.failed_invalid_utf8;
  if (code == CloseCode::kMessageTooBig || code == CloseCode::kPolicyViolation) {
    slot = slots.failed_message_limit;
  }
  counters.protocol[slot].Add();
}

}  // namespace ringmaster::websocket
