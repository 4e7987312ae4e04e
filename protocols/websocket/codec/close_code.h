#pragma once

#include <cstdint>
#include <string_view>

namespace ringmaster::websocket {

// Status codes of a close frame (RFC 6455 section 7.4 and the IANA registry). Applications may use
// any value from 3000 to 4999 as well.
enum class CloseCode : uint16_t {
  kNone = 0,  // no code: never on the wire
  kNormal = 1000,
  kGoingAway = 1001,
  kProtocolError = 1002,
  kUnsupportedData = 1003,
  kNoStatus = 1005,  // reported for a close frame without a code; never on the wire
  kAbnormal = 1006,  // reported when no close frame came; never on the wire
  kInvalidPayload = 1007,
  kPolicyViolation = 1008,
  kMessageTooBig = 1009,
  kMandatoryExtension = 1010,
  kInternalError = 1011,
  kServiceRestart = 1012,
  kTryAgainLater = 1013,
  kBadGateway = 1014,
};

// Whether a peer may send `code`: 1000-1003, 1007-1014 and 3000-4999. 1004, 1005, 1006 and 1015 are
// reserved, the rest of 1000-2999 is not registered.
bool IsCloseCodeOnWire(uint16_t code);

// What a close frame says. `reason` points into the payload.
struct ClosePayload {
  CloseCode error = CloseCode::kNone;  // the code to fail the connection with, or kNone
  uint16_t code = static_cast<uint16_t>(CloseCode::kNoStatus);
  std::string_view reason;
};

// Errors: kProtocolError for one byte or a code that must not be on the wire, kInvalidPayload for a
// reason that is not UTF-8.
ClosePayload ParseClosePayload(std::string_view payload);

}  // namespace ringmaster::websocket
