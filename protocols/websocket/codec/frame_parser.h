#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "protocols/websocket/codec/close_code.h"
#include "protocols/websocket/codec/frame.h"
#include "protocols/websocket/codec/mask.h"
#include "protocols/websocket/codec/utf8.h"

namespace ringmaster::websocket {

// What one message may cost. Shared by all connections of a route.
struct FrameLimits {
  // Payload of one message, its fragments together. Beyond: 1009, decided from the frame header.
  size_t message_bytes_max = 1u << 20;
  // Frames of one message. Beyond: 1008. An empty fragment costs its sender six bytes and us a
  // turn of the parser; no honest sender needs more than this for the default message size.
  uint32_t fragments_max = 16 * 1024;
};

// What FrameParser::Next found.
struct FrameEvent {
  enum class Kind : uint8_t {
    kNeedMore,  // all input is consumed
    kMessage,   // a whole message, `opcode` kText or kBinary; text is valid UTF-8
    kPing,
    kPong,
    kClose,  // `payload` has passed ParseClosePayload; nothing is read behind it
    kError,  // the connection must be failed with `error`; nothing is read behind it
  };

  Kind kind = Kind::kNeedMore;
  Opcode opcode = Opcode::kContinuation;
  CloseCode error = CloseCode::kNone;
  // Unmasked. In the input, or in the parser's own buffer: valid until the next call of Next.
  std::span<char> payload;

  std::string_view text() const { return {payload.data(), payload.size()}; }
};

// How far a frame or message has come that is not complete: what FrameParser::Resume needs to go on
// in another parser, perhaps one of another release. The views point into the parser.
struct FrameProgress {
  uint8_t stage = 0;  // FrameParser::Stage
  uint8_t stage_bytes = 0;
  uint8_t first_byte = 0;
  uint8_t message_opcode = 0;
  uint32_t fragment_count = 0;
  uint64_t frame_bytes_left = 0;
  uint32_t masking_key = 0;
  std::string_view message = {};  // collected, unmasked
  std::string_view control = {};  // payload of a control frame, unmasked
};

// Takes frames apart (RFC 6455 section 5), puts fragments together, and refuses what the RFC
// refuses at the first byte that shows it. The outcome does not depend on where the input was cut.
//
//   while (true) {
//     const FrameEvent event = parser.Next(input, limits);
//     if (event.kind == FrameEvent::Kind::kNeedMore) break;
//     ...
//   }
//
// A message that lies whole and unfragmented in the input is unmasked in place and given without a
// copy; anything else is collected. Between messages the parser owns no memory.
class FrameParser {
 public:
  explicit FrameParser(Role role = Role::kServer) : role_(role) {}

  // Consumes from the front of `input` up to the next event. May throw std::bad_alloc.
  FrameEvent Next(std::span<char>& input, const FrameLimits& limits) {
    FrameEvent event;
    if (TakeWholeMessage(input, limits, event)) return event;
    return NextInPieces(input, limits);
  }

  // A frame or a message has begun and is not complete.
  bool incomplete() const {
    return !finished() && (stage_ != Stage::kFirstByte || message_opcode_ != 0);
  }
  // Memory of what was cut.
  size_t held_bytes() const { return pieces_ == nullptr ? 0 : pieces_held_bytes(); }
  // After kClose or kError: whatever comes is consumed and ignored.
  bool finished() const { return stage_ == Stage::kFinished; }

  // While incomplete(); valid until the next call of Next.
  FrameProgress Progress() const;
  // Of a parser that has seen nothing yet: goes on where another one, of the same role, stood.
  // False: no parser with these limits can have come there; this one is of no more use then.
  // Nothing is believed: what is collected is judged as if it came now. May throw std::bad_alloc.
  bool Resume(const FrameProgress& progress, const FrameLimits& limits);

 private:
  // Other releases know these numbers (FrameProgress): none is used for another stage.
  enum class Stage : uint8_t {
    kFirstByte = 0,
    kSecondByte = 1,
    kLength = 2,      // stage_bytes_ length bytes are still to come
    kMaskingKey = 3,  // stage_bytes_ key bytes are still to come
    kPayload = 4,
    kFinished = 5,
  };
  // Memory for what was cut; exists only while something is.
  struct Pieces;
  struct DeletePieces {
    void operator()(Pieces* pieces) const;
  };

  bool TakeWholeMessage(std::span<char>& input, const FrameLimits& limits, FrameEvent& event);
  FrameEvent NextInPieces(std::span<char>& input, const FrameLimits& limits);
  CloseCode TakeHeaderByte(uint8_t byte, const FrameLimits& limits);
  CloseCode TakeFirstByte(uint8_t byte, const FrameLimits& limits);
  CloseCode TakeSecondByte(uint8_t byte, const FrameLimits& limits);
  CloseCode TakeLengthByte(uint8_t byte, const FrameLimits& limits);
  CloseCode OnLengthComplete(const FrameLimits& limits);
  // True when `event` is to be reported; false when a fragment was taken and parsing goes on.
  bool TakePayload(std::span<char>& input, const FrameLimits& limits, FrameEvent& event);
  bool TakeControlPayload(std::span<char> piece, FrameEvent& event);
  bool TakeDataPayload(std::span<char> piece, bool non_ascii, const FrameLimits& limits,
                       FrameEvent& event);
  void ReleaseDelivered();
  bool IsPossible(const FrameProgress& progress, const FrameLimits& limits) const;
  FrameEvent Fail(CloseCode error);

  bool is_control() const { return (first_byte_ & kControlBit) != 0; }
  size_t collected_bytes() const;
  size_t pieces_held_bytes() const;
  Pieces& pieces();

  std::unique_ptr<Pieces, DeletePieces> pieces_;
  // Payload bytes of the current frame still to come; while kLength, the length so far.
  uint64_t frame_bytes_left_ = 0;
  // Rotated, so that its low byte belongs to the next payload byte.
  uint32_t masking_key_ = 0;
  uint32_t fragment_count_ = 0;
  Utf8Validator utf8_;
  Stage stage_ = Stage::kFirstByte;
  uint8_t stage_bytes_ = 0;
  uint8_t first_byte_ = 0;
  // kText or kBinary from a message's first frame to its end, else 0.
  uint8_t message_opcode_ = 0;
  Role role_ : 1;
  // The last event pointed into *pieces_; its memory goes with the next call.
  bool delivered_pieces_ : 1 = false;
};

inline bool FrameParser::TakeWholeMessage(std::span<char>& input, const FrameLimits& limits,
                                          FrameEvent& event) {
  if (stage_ != Stage::kFirstByte || message_opcode_ != 0 || pieces_ != nullptr) return false;
  if (role_ != Role::kServer || input.size() < 6) return false;
  const uint8_t first = static_cast<uint8_t>(input[0]);
  const uint8_t second = static_cast<uint8_t>(input[1]);
  const bool text = first == (kFinBit | static_cast<uint8_t>(Opcode::kText));
  if (!text && first != (kFinBit | static_cast<uint8_t>(Opcode::kBinary))) return false;
  if ((second & kMaskBit) == 0) return false;
  size_t header_bytes = 6;
  size_t payload_bytes = second & kLengthBits;
  if (payload_bytes == kLength16) {
    payload_bytes =
        static_cast<size_t>(static_cast<uint8_t>(input[2])) << 8 | static_cast<uint8_t>(input[3]);
    header_bytes = 8;
    if (payload_bytes < kLength16) return false;
  } else if (payload_bytes == kLength64) {
    return false;
  }
  // Whatever is not the plain case is judged, byte by byte, in one place only: NextInPieces.
  if (payload_bytes > limits.message_bytes_max || limits.fragments_max == 0) return false;
  if (input.size() < header_bytes + payload_bytes) return false;
  uint32_t key;
  std::memcpy(&key, input.data() + header_bytes - 4, 4);
  event.payload = input.subspan(header_bytes, payload_bytes);
  input = input.subspan(header_bytes + payload_bytes);
  const bool non_ascii = Mask(event.payload.data(), payload_bytes, key);
  if (text && non_ascii && !IsValidUtf8(event.text())) {
    event = Fail(CloseCode::kInvalidPayload);
    return true;
  }
  event.kind = FrameEvent::Kind::kMessage;
  event.opcode = text ? Opcode::kText : Opcode::kBinary;
  return true;
}

static_assert(sizeof(FrameParser) <= 32, "an idle connection pays for this");

}  // namespace ringmaster::websocket
