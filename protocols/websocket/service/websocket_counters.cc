#include "protocols/websocket/service/websocket_counters.h"

#include <fmt/format.h>

#include <string_view>

namespace ringmaster::websocket {
namespace {

struct OpcodeName {
  Opcode opcode;
  std::string_view name;
};
constexpr OpcodeName kMessageOpcodes[] = {{Opcode::kText, "text"}, {Opcode::kBinary, "binary"}};
constexpr OpcodeName kControlOpcodes[] = {
    {Opcode::kPing, "ping"}, {Opcode::kPong, "pong"}, {Opcode::kClose, "close"}};

size_t IndexOf(Opcode opcode) { return static_cast<size_t>(opcode); }

// "websocket_received_text" of the family "websocket_received".
int RegisterOpcode(std::string_view family, std::string_view description, std::string_view name) {
  return CounterNames::Register(fmt::format("{}_{}", family, name),
                                fmt::format("{}: {}", description, name), FigureKind::kCounter,
                                {family, description, "opcode", name});
}

void RegisterTraffic(WebSocketCounters& slots) {
  constexpr std::string_view kReceived = "WebSocket messages and control frames received";
  constexpr std::string_view kSent = "WebSocket messages and control frames sent";
  const auto register_frames = [&](const OpcodeName& of) {
    slots.received[IndexOf(of.opcode)] = RegisterOpcode("websocket_received", kReceived, of.name);
    slots.sent[IndexOf(of.opcode)] = RegisterOpcode("websocket_sent", kSent, of.name);
  };
  for (const OpcodeName& of : kMessageOpcodes) {
    register_frames(of);
    slots.received_bytes[IndexOf(of.opcode)] = RegisterOpcode(
        "websocket_received_bytes", "payload bytes of WebSocket messages received", of.name);
    slots.sent_bytes[IndexOf(of.opcode)] =
        RegisterOpcode("websocket_sent_bytes", "payload bytes of WebSocket messages sent", of.name);
  }
  for (const OpcodeName& of : kControlOpcodes) register_frames(of);
}

int RegisterRefusal(std::string_view reason, std::string_view description) {
  return CounterNames::Register(
      fmt::format("websocket_refused_{}", reason),
      fmt::format("WebSocket handshakes refused: {}", description), FigureKind::kCounter,
      {"websocket_refused", "WebSocket handshakes refused", "reason", reason});
}

int RegisterFailure(std::string_view reason, std::string_view description) {
  return CounterNames::Register(
      fmt::format("websocket_failed_{}", reason),
      fmt::format("WebSockets failed with {}", description), FigureKind::kCounter,
      {"websocket_failed", "WebSockets closed because of what the peer sent", "reason", reason});
}

WebSocketCounters RegisterAll() {
  WebSocketCounters slots = {};
  RegisterTraffic(slots);
  slots.open = CounterNames::Register("websocket_open", "WebSockets open now", FigureKind::kGauge);
  slots.accepted = CounterNames::Register("websocket_accepted", "WebSocket handshakes accepted");
  for (int i = 1; i < kHandshakeErrorCount; ++i) {
    const auto error = static_cast<HandshakeError>(i);
    slots.refused_handshake[i] =
        RegisterRefusal(HandshakeErrorName(error), HandshakeErrorReason(error));
  }
  for (int i = 1; i < kOriginVerdictCount; ++i) {
    const auto verdict = static_cast<OriginVerdict>(i);
    slots.refused_origin[i] = RegisterRefusal(fmt::format("origin_{}", OriginVerdictName(verdict)),
                                              OriginVerdictReason(verdict));
  }
  slots.refused_by_application = RegisterRefusal("by_application", "on_upgrade said no");
  slots.refused_stopping = RegisterRefusal("stopping", "the server is stopping");
  slots.failed_protocol_error = RegisterFailure("protocol_error", "1002: it broke the protocol");
  slots.failed_invalid_utf8 = RegisterFailure("invalid_utf8", "1007: text not UTF-8");
  slots.failed_message_limit =
      RegisterFailure("message_limit", "1009 or 1008: message too large, too many fragments");
  return slots;
}

}  // namespace

const WebSocketCounters& WebSocketCounters::Get() {
  static const WebSocketCounters slots = RegisterAll();
  return slots;
}

void CountReceived(WorkerCounters& counters, Opcode opcode, size_t payload_bytes) {
  const WebSocketCounters& slots = WebSocketCounters::Get();
  counters.protocol[slots.received[IndexOf(opcode)]].Add();
  const bool message = opcode == Opcode::kText || opcode == Opcode::kBinary;
  if (message) counters.protocol[slots.received_bytes[IndexOf(opcode)]].Add(payload_bytes);
}

void CountSent(WorkerCounters& counters, Opcode opcode, size_t payload_bytes) {
  const WebSocketCounters& slots = WebSocketCounters::Get();
  counters.protocol[slots.sent[IndexOf(opcode)]].Add();
  const bool message = opcode == Opcode::kText || opcode == Opcode::kBinary;
  if (message) counters.protocol[slots.sent_bytes[IndexOf(opcode)]].Add(payload_bytes);
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
