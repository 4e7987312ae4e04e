#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocols/websocket/codec/frame_parser.h"
#include "protocols/websocket/codec/frame_writer.h"

// What the frame tests and the fuzz target share: frames as a client sends them, and the outcome of
// an input as text, so that outcomes can be compared.

namespace ringmaster::websocket {

inline constexpr uint32_t kTestKey = 0x3DA55A7Fu;

// A masked frame with all of its first byte given.
inline std::string RawFrame(uint8_t first_byte, std::string_view payload, uint32_t key = kTestKey) {
  std::string frame(kFrameHeaderBytesMax + payload.size(), '\0');
  const size_t header =
      WriteFrameHeader(frame.data(), Opcode::kText, payload.size(), true, Role::kClient, key);
  frame[0] = static_cast<char>(first_byte);
  std::copy(payload.begin(), payload.end(), frame.begin() + static_cast<ptrdiff_t>(header));
  Mask(frame.data() + header, payload.size(), key);
  frame.resize(header + payload.size());
  return frame;
}

inline std::string Frame(Opcode opcode, std::string_view payload, bool fin = true) {
  return RawFrame(static_cast<uint8_t>(static_cast<uint8_t>(opcode) | (fin ? kFinBit : 0)),
                  payload);
}

inline std::string ClosePayloadBytes(uint16_t code, std::string_view reason = "") {
  std::string payload{static_cast<char>(code >> 8), static_cast<char>(code)};
  return payload.append(reason);
}

inline std::string Describe(const FrameEvent& event) {
  switch (event.kind) {
    case FrameEvent::Kind::kNeedMore:
      return "";
    case FrameEvent::Kind::kMessage:
      return (event.opcode == Opcode::kText ? "text:" : "binary:") + std::string(event.text()) +
             ";";
    case FrameEvent::Kind::kPing:
      return "ping:" + std::string(event.text()) + ";";
    case FrameEvent::Kind::kPong:
      return "pong:" + std::string(event.text()) + ";";
    case FrameEvent::Kind::kClose:
      return "close:" + std::string(event.text()) + ";";
    case FrameEvent::Kind::kError:
      return "error:" + std::to_string(static_cast<int>(event.error)) + ";";
  }
  return "?";
}

// Feeds one piece, which is copied as the parser changes it, and returns its events.
inline std::string FeedPiece(FrameParser& parser, std::string_view piece,
                             const FrameLimits& limits) {
  std::vector<char> bytes(piece.begin(), piece.end());
  std::span<char> input(bytes);
  std::string events;
  while (true) {
    const FrameEvent event = parser.Next(input, limits);
    if (event.kind == FrameEvent::Kind::kNeedMore) break;
    events += Describe(event);
  }
  return events;
}

// `sizes` are used in turn, over and over.
inline std::string ParseCut(std::string_view input, const std::vector<size_t>& sizes,
                            const FrameLimits& limits = {}, Role role = Role::kServer) {
  FrameParser parser(role);
  std::string events;
  for (size_t i = 0; !input.empty(); ++i) {
    const size_t size = std::clamp<size_t>(sizes[i % sizes.size()], 1, input.size());
    events += FeedPiece(parser, input.substr(0, size), limits);
    input.remove_prefix(size);
  }
  return events;
}

inline std::string ParseWhole(std::string_view input, const FrameLimits& limits = {},
                              Role role = Role::kServer) {
  return ParseCut(input, {input.size()}, limits, role);
}

}  // namespace ringmaster::websocket
