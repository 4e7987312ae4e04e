#include "protocols/websocket/codec/close_code.h"

#include "protocols/websocket/codec/utf8.h"

namespace ringmaster::websocket {

bool IsCloseCodeOnWire(uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

ClosePayload ParseClosePayload(std::string_view payload) {
  ClosePayload close;
  if (payload.empty()) return close;
  // RFC 6455 section 5.5.1: a body, if there is one, begins with a two-byte code.
  if (payload.size() < 2) {
    close.error = CloseCode::kProtocolError;
    return close;
  }
  close.code = static_cast<uint16_t>(static_cast<uint8_t>(payload[0]) << 8 |
                                     static_cast<uint8_t>(payload[1]));
  close.reason = payload.substr(2);
  if (!IsCloseCodeOnWire(close.code)) {
    close.error = CloseCode::kProtocolError;
  } else if (!IsValidUtf8(close.reason)) {
    close.error = CloseCode::kInvalidPayload;
  }
  return close;
}

}  // namespace ringmaster::websocket
