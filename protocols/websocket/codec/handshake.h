#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "protocols/http/codec/request_head.h"
#include "protocols/websocket/codec/accept_key.h"

// The server's side of the opening handshake (RFC 6455 section 4.2). The Origin is judged
// afterwards, by OriginPolicy (origin.h).

namespace ringmaster::websocket {

// What is wrong with a handshake, in the order it is looked for: X(name, status, reason).
#define RINGMASTER_WEBSOCKET_HANDSHAKE_ERRORS(X)                                         \
  X(Method, 405, "the opening handshake is a GET request")                               \
  X(HttpVersion, 400, "the opening handshake needs HTTP/1.1")                            \
  X(Upgrade, 426, "this resource speaks WebSocket: Upgrade must list websocket")         \
  X(Connection, 400, "Connection must list upgrade")                                     \
  X(VersionMissing, 400, "Sec-WebSocket-Version is missing")                             \
  X(VersionRepeated, 400, "Sec-WebSocket-Version is repeated")                           \
  X(VersionUnsupported, 426, "only version 13 of the WebSocket protocol is spoken here") \
  X(KeyMissing, 400, "Sec-WebSocket-Key is missing")                                     \
  X(KeyRepeated, 400, "Sec-WebSocket-Key is repeated")                                   \
  X(KeyInvalid, 400, "Sec-WebSocket-Key is not the base64 of 16 bytes")                  \
  X(Host, 400, "Host is missing")                                                        \
  X(Body, 400, "the opening handshake has no body")                                      \
  X(Extensions, 400, "Sec-WebSocket-Extensions is malformed")                            \
  X(Subprotocols, 400, "Sec-WebSocket-Protocol is malformed")

enum class HandshakeError : uint8_t {
  kNone,
#define RINGMASTER_DECLARE_ERROR(name, status, reason) k##name,
  RINGMASTER_WEBSOCKET_HANDSHAKE_ERRORS(RINGMASTER_DECLARE_ERROR)
#undef RINGMASTER_DECLARE_ERROR
};
inline constexpr int kHandshakeErrorCount = static_cast<int>(HandshakeError::kSubprotocols) + 1;

struct Handshake {
  HandshakeError error = HandshakeError::kNone;
  AcceptKey accept_key = {};     // valid without an error
  std::string_view subprotocol;  // the chosen one, pointing into `supported`; empty = none
};

// Checks `head` and computes the answer. `supported` are the subprotocols of the server; of those
// offered, the first that is supported is chosen. Extensions are declined by not answering their
// offer, which is how RFC 6455 section 9.1 declines.
Handshake CheckHandshake(const http::RequestHead& head,
                         std::span<const std::string> supported = {});

// The HTTP answer to a refused handshake. The fields are whole lines, each ended by CRLF.
int HandshakeErrorStatus(HandshakeError error);
std::string_view HandshakeErrorReason(HandshakeError error);
std::string_view HandshakeErrorFields(HandshakeError error);
// "method", "key_repeated", ...: the name used in counters and logs.
std::string_view HandshakeErrorName(HandshakeError error);

// The whole 101 response. `fields` are whole lines of the caller's, each ended by CRLF.
std::string FormatHandshakeResponse(const Handshake& handshake, std::string_view fields = {});

}  // namespace ringmaster::websocket
