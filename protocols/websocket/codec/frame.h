#pragma once

#include <cstddef>
#include <cstdint>

// The base framing of RFC 6455 section 5.2, as far as parser and writer share it:
//
//   byte 0: FIN RSV1 RSV2 RSV3 opcode(4)   byte 1: MASK length(7)   [length 16 or 64]   [masking
//   key]

namespace ringmaster::websocket {

enum class Opcode : uint8_t {
  kContinuation = 0x0,
  kText = 0x1,
  kBinary = 0x2,
  kClose = 0x8,
  kPing = 0x9,
  kPong = 0xA,
};

// Which end of the connection we are. A server receives masked frames and sends unmasked ones; a
// client the reverse (RFC 6455 section 5.1).
enum class Role : uint8_t { kServer, kClient };

inline constexpr uint8_t kFinBit = 0x80;
inline constexpr uint8_t kReservedBits = 0x70;
inline constexpr uint8_t kOpcodeBits = 0x0F;
inline constexpr uint8_t kControlBit = 0x08;
inline constexpr uint8_t kMaskBit = 0x80;
inline constexpr uint8_t kLengthBits = 0x7F;
inline constexpr uint8_t kLength16 = 126;
inline constexpr uint8_t kLength64 = 127;

// RFC 6455 section 5.5: a control frame carries at most 125 bytes and is never fragmented.
inline constexpr size_t kControlPayloadBytesMax = 125;
// Two bytes, a 64-bit length and the masking key.
inline constexpr size_t kFrameHeaderBytesMax = 14;

}  // namespace ringmaster::websocket
