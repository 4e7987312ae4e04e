#pragma once

#include "engine/stats/counters.h"
#include "protocols/websocket/codec/close_code.h"
#include "protocols/websocket/codec/handshake.h"
#include "protocols/websocket/codec/origin.h"

namespace ringmaster::websocket {

// Slots of WorkerCounters::protocol. Every refusal of a handshake has its own.
struct WebSocketCounters {
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

// A frame for which the peer was failed with `code`.
void CountFrameError(WorkerCounters& counters, CloseCode code);

}  // namespace ringmaster::websocket
