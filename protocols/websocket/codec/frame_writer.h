#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "protocols/websocket/codec/frame.h"

// Frame headers (RFC 6455 section 5.2) into memory of the caller, who puts the payload behind them.

namespace ringmaster::websocket {

// Bytes of a header for that payload: 2, 4 or 10, and 4 more for a client's masking key.
constexpr size_t FrameHeaderBytes(uint64_t payload_bytes, Role role = Role::kServer) {
  const size_t length_bytes = payload_bytes < kLength16 ? 0 : payload_bytes <= 0xFFFF ? 2 : 8;
  return 2 + length_bytes + (role == Role::kClient ? 4 : 0);
}

// Writes a header of FrameHeaderBytes(payload_bytes, role) bytes to `out` and returns that count.
// With kClient, `masking_key` is written as it lies in memory, and the caller masks the payload
// with it (mask.h); it must come from a source the peer's scripts cannot predict (section 10.3).
inline size_t WriteFrameHeader(char* out, Opcode opcode, uint64_t payload_bytes, bool fin = true,
                               Role role = Role::kServer, uint32_t masking_key = 0) {
  assert(payload_bytes >> 63 == 0);
  const uint8_t mask = role == Role::kClient ? kMaskBit : 0;
  out[0] = static_cast<char>((fin ? kFinBit : 0) | static_cast<uint8_t>(opcode));
  size_t bytes = 2;
  if (payload_bytes < kLength16) {
    out[1] = static_cast<char>(mask | payload_bytes);
  } else if (payload_bytes <= 0xFFFF) {
    out[1] = static_cast<char>(mask | kLength16);
    out[2] = static_cast<char>(payload_bytes >> 8);
    out[3] = static_cast<char>(payload_bytes);
    bytes = 4;
  } else {
    out[1] = static_cast<char>(mask | kLength64);
    for (int i = 0; i < 8; ++i) out[2 + i] = static_cast<char>(payload_bytes >> (56 - 8 * i));
    bytes = 10;
  }
  if (role == Role::kClient) {
    std::memcpy(out + bytes, &masking_key, 4);
    bytes += 4;
  }
  return bytes;
}

}  // namespace ringmaster::websocket
