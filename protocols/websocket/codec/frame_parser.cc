#include "protocols/websocket/codec/frame_parser.h"

#include <algorithm>
#include <cassert>

#include "protocols/websocket/codec/message_buffer.h"

namespace ringmaster::websocket {

// A control frame may come between the fragments of a message, so both can be cut at once.
struct FrameParser::Pieces {
  MessageBuffer message;
  uint8_t control_bytes = 0;
  char control[kControlPayloadBytesMax];
};

void FrameParser::DeletePieces::operator()(Pieces* pieces) const { delete pieces; }

size_t FrameParser::collected_bytes() const {
  return pieces_ == nullptr ? 0 : pieces_->message.size();
}

size_t FrameParser::pieces_held_bytes() const {
  return sizeof(Pieces) + pieces_->message.capacity();
}

FrameParser::Pieces& FrameParser::pieces() {
  if (pieces_ == nullptr) pieces_.reset(new Pieces);
  return *pieces_;
}

void FrameParser::ReleaseDelivered() {
  delivered_pieces_ = false;
  if (message_opcode_ == 0 || finished()) {
    pieces_.reset();
  } else {
    pieces_->control_bytes = 0;
  }
}

FrameEvent FrameParser::Fail(CloseCode error) {
  stage_ = Stage::kFinished;
  pieces_.reset();
  delivered_pieces_ = false;
  FrameEvent event;
  event.kind = FrameEvent::Kind::kError;
  event.error = error;
  return event;
}

FrameEvent FrameParser::NextInPieces(std::span<char>& input, const FrameLimits& limits) {
  if (delivered_pieces_) ReleaseDelivered();
  FrameEvent event;
  while (stage_ != Stage::kFinished) {
    if (stage_ == Stage::kPayload) {
      if (TakePayload(input, limits, event)) return event;
      if (stage_ == Stage::kPayload) return event;
    }
    if (input.empty()) return event;
    const uint8_t byte = static_cast<uint8_t>(input.front());
    input = input.subspan(1);
    const CloseCode error = TakeHeaderByte(byte, limits);
    if (error != CloseCode::kNone) return Fail(error);
  }
  input = {};
  return event;
}

CloseCode FrameParser::TakeHeaderByte(uint8_t byte, const FrameLimits& limits) {
  switch (stage_) {
    case Stage::kFirstByte:
      return TakeFirstByte(byte, limits);
    case Stage::kSecondByte:
      return TakeSecondByte(byte, limits);
    case Stage::kLength:
      return TakeLengthByte(byte, limits);
    case Stage::kMaskingKey:
      // Shifting in from the top leaves the first of four bytes at the bottom.
      masking_key_ = masking_key_ >> 8 | static_cast<uint32_t>(byte) << 24;
      if (--stage_bytes_ == 0) stage_ = Stage::kPayload;
      return CloseCode::kNone;
    case Stage::kPayload:
    case Stage::kFinished:
      break;
  }
  assert(false);
  return CloseCode::kInternalError;
}

CloseCode FrameParser::TakeFirstByte(uint8_t byte, const FrameLimits& limits) {
  // No extension is ever negotiated, so the reserved bits mean nothing (section 5.2).
  if ((byte & kReservedBits) != 0) return CloseCode::kProtocolError;
  const bool fin = (byte & kFinBit) != 0;
  switch (static_cast<Opcode>(byte & kOpcodeBits)) {
    case Opcode::kContinuation:
      if (message_opcode_ == 0) return CloseCode::kProtocolError;
      break;
    case Opcode::kText:
    case Opcode::kBinary:
      // Section 5.4: the fragments of one message are not interleaved with those of another.
      if (message_opcode_ != 0) return CloseCode::kProtocolError;
      message_opcode_ = byte & kOpcodeBits;
      fragment_count_ = 0;
      utf8_.Reset();
      break;
    case Opcode::kClose:
    case Opcode::kPing:
    case Opcode::kPong:
      if (!fin) return CloseCode::kProtocolError;
      break;
    default:
      return CloseCode::kProtocolError;
  }
  first_byte_ = byte;
  if (!is_control() && ++fragment_count_ > limits.fragments_max) return CloseCode::kPolicyViolation;
  stage_ = Stage::kSecondByte;
  return CloseCode::kNone;
}

CloseCode FrameParser::TakeSecondByte(uint8_t byte, const FrameLimits& limits) {
  const bool masked = (byte & kMaskBit) != 0;
  if (masked != (role_ == Role::kServer)) return CloseCode::kProtocolError;
  const uint8_t length = byte & kLengthBits;
  if (length < kLength16) {
    frame_bytes_left_ = length;
    return OnLengthComplete(limits);
  }
  if (is_control()) return CloseCode::kProtocolError;
  frame_bytes_left_ = 0;
  stage_ = Stage::kLength;
  stage_bytes_ = length == kLength16 ? 2 : 8;
  return CloseCode::kNone;
}

CloseCode FrameParser::TakeLengthByte(uint8_t byte, const FrameLimits& limits) {
  // Section 5.2: the most significant bit of a 64-bit length must be 0.
  if (stage_bytes_ == 8 && (byte & 0x80) != 0) return CloseCode::kProtocolError;
  frame_bytes_left_ = frame_bytes_left_ << 8 | byte;
  --stage_bytes_;
  // "The minimal number of bytes MUST be used": six zero bytes in front say 16 bits had been
  // enough. A 16-bit length never gets here with 2 bytes left to come.
  if (stage_bytes_ == 2 && frame_bytes_left_ == 0) return CloseCode::kProtocolError;
  if (stage_bytes_ > 0) return CloseCode::kNone;
  // A 64-bit length that came this far is above 0xFFFF, so this judges 16-bit ones.
  if (frame_bytes_left_ < kLength16) return CloseCode::kProtocolError;
  return OnLengthComplete(limits);
}

CloseCode FrameParser::OnLengthComplete(const FrameLimits& limits) {
  if (is_control()) {
    // A close frame of one byte cannot hold a code (section 5.5.1).
    const bool close = (first_byte_ & kOpcodeBits) == static_cast<uint8_t>(Opcode::kClose);
    if (close && frame_bytes_left_ == 1) return CloseCode::kProtocolError;
  } else {
    const size_t collected = collected_bytes();
    assert(collected <= limits.message_bytes_max);
    if (frame_bytes_left_ > limits.message_bytes_max - collected) return CloseCode::kMessageTooBig;
  }
  masking_key_ = 0;
  stage_bytes_ = 4;
  stage_ = role_ == Role::kServer ? Stage::kMaskingKey : Stage::kPayload;
  return CloseCode::kNone;
}

bool FrameParser::TakePayload(std::span<char>& input, const FrameLimits& limits,
                              FrameEvent& event) {
  const std::span<char> piece =
      input.first(static_cast<size_t>(std::min<uint64_t>(frame_bytes_left_, input.size())));
  input = input.subspan(piece.size());
  bool non_ascii = true;
  if (role_ == Role::kServer) {
    non_ascii = Mask(piece.data(), piece.size(), masking_key_);
    masking_key_ = RotateMaskingKey(masking_key_, piece.size());
  }
  frame_bytes_left_ -= piece.size();
  return is_control() ? TakeControlPayload(piece, event)
                      : TakeDataPayload(piece, non_ascii, limits, event);
}

bool FrameParser::TakeControlPayload(std::span<char> piece, FrameEvent& event) {
  const bool begun = pieces_ != nullptr && pieces_->control_bytes > 0;
  if (frame_bytes_left_ > 0 || begun) {
    Pieces& kept = pieces();
    std::copy(piece.begin(), piece.end(), kept.control + kept.control_bytes);
    kept.control_bytes = static_cast<uint8_t>(kept.control_bytes + piece.size());
    piece = {kept.control, kept.control_bytes};
  }
  if (frame_bytes_left_ > 0) return false;
  stage_ = Stage::kFirstByte;
  delivered_pieces_ = pieces_ != nullptr;
  event.payload = piece;
  event.opcode = static_cast<Opcode>(first_byte_ & kOpcodeBits);
  switch (event.opcode) {
    case Opcode::kPing:
      event.kind = FrameEvent::Kind::kPing;
      break;
    case Opcode::kPong:
      event.kind = FrameEvent::Kind::kPong;
      break;
    default: {
      const CloseCode error = ParseClosePayload(event.text()).error;
      if (error != CloseCode::kNone) {
        event = Fail(error);
        break;
      }
      event.kind = FrameEvent::Kind::kClose;
      stage_ = Stage::kFinished;
      break;
    }
  }
  return true;
}

bool FrameParser::TakeDataPayload(std::span<char> piece, bool non_ascii, const FrameLimits& limits,
                                  FrameEvent& event) {
  const bool text = message_opcode_ == static_cast<uint8_t>(Opcode::kText);
  if (text && (non_ascii || !utf8_.at_boundary()) && !utf8_.Feed({piece.data(), piece.size()})) {
    event = Fail(CloseCode::kInvalidPayload);
    return true;
  }
  const bool last = frame_bytes_left_ == 0 && (first_byte_ & kFinBit) != 0;
  const bool collected = collected_bytes() > 0;
  if (!piece.empty() && (!last || collected)) {
    // Bytes of this frame still to come count as promised, so that one allocation serves most
    // frames.
    pieces().message.Append(piece, piece.size() + frame_bytes_left_, limits.message_bytes_max);
  }
  if (last && collected) piece = pieces_->message.bytes();
  if (frame_bytes_left_ > 0) return false;
  stage_ = Stage::kFirstByte;
  if (!last) return false;
  if (text && !utf8_.at_boundary()) {
    event = Fail(CloseCode::kInvalidPayload);
    return true;
  }
  event.kind = FrameEvent::Kind::kMessage;
  event.opcode = static_cast<Opcode>(message_opcode_);
  event.payload = piece;
  message_opcode_ = 0;
  delivered_pieces_ = pieces_ != nullptr;
  return true;
}

FrameProgress FrameParser::Progress() const {
  FrameProgress progress;
  progress.stage = static_cast<uint8_t>(stage_);
  progress.message_opcode = message_opcode_;
  if (message_opcode_ != 0) progress.fragment_count = fragment_count_;
  if (stage_ != Stage::kFirstByte) progress.first_byte = first_byte_;
  if (stage_ == Stage::kLength || stage_ == Stage::kMaskingKey) progress.stage_bytes = stage_bytes_;
  if (stage_ >= Stage::kLength) progress.frame_bytes_left = frame_bytes_left_;
  if (stage_ >= Stage::kMaskingKey) progress.masking_key = masking_key_;
  if (pieces_ != nullptr) {
    // What was delivered from there is over, though its memory is still held.
    if (message_opcode_ != 0) {
      const std::span<char> message = pieces_->message.bytes();
      progress.message = {message.data(), message.size()};
    }
    if (!delivered_pieces_) progress.control = {pieces_->control, pieces_->control_bytes};
  }
  return progress;
}

bool FrameParser::Resume(const FrameProgress& progress, const FrameLimits& limits) {
  if (!IsPossible(progress, limits)) return false;
  // What stands collected of an incomplete text is all that came of it.
  const bool text = progress.message_opcode == static_cast<uint8_t>(Opcode::kText);
  if (text && !utf8_.Feed(progress.message)) return false;
  stage_ = static_cast<Stage>(progress.stage);
  stage_bytes_ = progress.stage_bytes;
  first_byte_ = progress.first_byte;
  message_opcode_ = progress.message_opcode;
  fragment_count_ = progress.fragment_count;
  frame_bytes_left_ = progress.frame_bytes_left;
  masking_key_ = progress.masking_key;
  if (!progress.message.empty()) {
    // A control frame's bytes to come are none of the message's.
    const size_t promised = stage_ == Stage::kPayload && !is_control() ? frame_bytes_left_ : 0;
    pieces().message.Append({progress.message.data(), progress.message.size()},
                            progress.message.size() + promised, limits.message_bytes_max);
  }
  if (!progress.control.empty()) {
    progress.control.copy(pieces().control, progress.control.size());
    pieces().control_bytes = static_cast<uint8_t>(progress.control.size());
  }
  return true;
}

// The rules of the functions above, for what they leave behind.
bool FrameParser::IsPossible(const FrameProgress& progress, const FrameLimits& limits) const {
  const auto stage = static_cast<Stage>(progress.stage);
  if (stage >= Stage::kFinished) return false;
  const auto message_opcode = static_cast<Opcode>(progress.message_opcode);
  const bool in_message = progress.message_opcode != 0;
  if (in_message) {
    if (message_opcode != Opcode::kText && message_opcode != Opcode::kBinary) return false;
    if (progress.fragment_count == 0 || progress.fragment_count > limits.fragments_max)
      return false;
    if (progress.message.size() > limits.message_bytes_max) return false;
  } else if (progress.fragment_count != 0 || !progress.message.empty()) {
    return false;
  }
  if (stage == Stage::kFirstByte) return in_message && progress.control.empty();

  const auto opcode = static_cast<Opcode>(progress.first_byte & kOpcodeBits);
  const bool control = (progress.first_byte & kControlBit) != 0;
  if ((progress.first_byte & kReservedBits) != 0) return false;
  if (control) {
    if (opcode != Opcode::kClose && opcode != Opcode::kPing && opcode != Opcode::kPong)
      return false;
    if ((progress.first_byte & kFinBit) == 0) return false;
  } else {
    // A message's first frame says what it is, and its others go on with it.
    const bool first = progress.fragment_count == 1;
    if (!in_message || opcode != (first ? message_opcode : Opcode::kContinuation)) return false;
    if (first && stage != Stage::kPayload && !progress.message.empty()) return false;
  }
  if (stage != Stage::kPayload && !progress.control.empty()) return false;

  const uint64_t left = progress.frame_bytes_left;
  if (stage == Stage::kSecondByte) return left == 0;
  if (stage == Stage::kLength) {
    // The length of which so many bytes are missing; its most significant bit is 0.
    if (control || progress.stage_bytes == 0 || progress.stage_bytes > 8) return false;
    const int bits = 8 * (8 - progress.stage_bytes);
    return bits == 0 ? left == 0 : left >> (bits - 1) == 0;
  }
  if (stage == Stage::kMaskingKey) {
    if (role_ != Role::kServer) return false;
    if (progress.stage_bytes == 0 || progress.stage_bytes > 4) return false;
  } else if (left == 0) {
    return false;
  }
  if (!control) return left <= limits.message_bytes_max - progress.message.size();
  if (left > kControlPayloadBytesMax - std::min(progress.control.size(), kControlPayloadBytesMax)) {
    return false;
  }
  return opcode != Opcode::kClose || left + progress.control.size() != 1;
}

}  // namespace ringmaster::websocket
