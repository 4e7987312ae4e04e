#pragma once

#include <cstddef>

#include "engine/stats/counters.h"
#include "protocols/websocket/codec/close_code.h"
#include "protocols/websocket/codec/frame.h"
#include "protocols/websocket/codec/handshake.h"
#include "protocols/websocket/codec/origin.h"

namespace ringmaster::websocket {

// Values of the opcode field (RFC 6455 section 5.2).
inline constexpr size_t kOpcodeCount = 16;

// Slots of WorkerCounters::protocol. Every refusal of a handshake has its own.
struct WebSocketCounters {
  // By opcode: text, binary and the control frames. A fragmented message counts once, when it is
  // complete. Bytes are payload, of messages only.
  int received[kOpcodeCount];
  int sent[kOpcodeCount];
  int received_bytes[kOpcodeCount];
  int sent_bytes[kOpcodeCount];
  int open;
  int accepted;
  int refused_handshake[kHandshakeErrorCount];  // by HandshakeError; kNone unused
  int refused_origin[kOriginVerdictCount];      // by OriginVerdict; kAllowed unused
  int refused_by_application;
  int refused_stopping;
  int failed_protocol_error;
  int failed_invalid_utf8;
  int failed_message_limit;

  // Registered at the first call, which every route makes while the server is defined.
  static const WebSocketCounters& Get();
};

// A whole message, or a control frame, with its payload.
void CountReceived(WorkerCounters& counters, Opcode opcode, size_t payload_bytes);
// One that was queued.
void CountSent(WorkerCounters& counters, Opcode opcode, size_t payload_bytes);
// A frame for which the peer was failed with `code`.
void CountFrameError(WorkerCounters& counters, CloseCode code);

}  // namespace ringmaster::websocket
