#include "protocols/websocket/service/close_handshake.h"

#include "engine/worker/worker.h"
#include "protocols/websocket/codec/frame_writer.h"
#include "protocols/websocket/service/websocket_counters.h"

namespace ringmaster::websocket {
namespace {

constexpr size_t kReasonBytesMax = kControlPayloadBytesMax - 2;

// The longest front of `reason` that fits and does not cut a character in two.
std::string_view CutReason(std::string_view reason) {
  if (reason.size() <= kReasonBytesMax) return reason;
  size_t bytes = kReasonBytesMax;
  while (bytes > 0 && (static_cast<uint8_t>(reason[bytes]) & 0xC0) == 0x80) --bytes;
  return reason.substr(0, bytes);
}

// Why the engine is told that the connection ends after a bad frame.
CloseReason CauseOf(CloseCode code) {
  const bool limit = code == CloseCode::kMessageTooBig || code == CloseCode::kPolicyViolation;
  return limit ? CloseReason::kLimit : CloseReason::kProtocolError;
}

}  // namespace

// `code` 1005 is written as no code at all.
void CloseHandshake::SendCloseFrame(Connection& connection, uint16_t code,
                                    std::string_view reason) {
  sent_code_ = code;
  const bool empty = code == static_cast<uint16_t>(CloseCode::kNoStatus);
  if (empty) reason = {};
  reason = CutReason(reason);
  const size_t payload_bytes = empty ? 0 : 2 + reason.size();
  const size_t frame_bytes = FrameHeaderBytes(payload_bytes) + payload_bytes;
  char frame[kFrameHeaderBytesMax + kControlPayloadBytesMax];
  char* out = frame + WriteFrameHeader(frame, Opcode::kClose, payload_bytes);
  if (!empty) {
    out[0] = static_cast<char>(code >> 8);
    out[1] = static_cast<char>(code);
    reason.copy(out + 2, reason.size());
  }
  static_assert(kControlPayloadBytesMax + 2 <= Connection::kGoodbyeBytesMax);
  // Room is kept for it; a dead connection refuses it and closes without.
  connection.SendControl({frame, frame_bytes}, /*last=*/true);
  CountSent(connection.worker().counters(), Opcode::kClose, payload_bytes);
}

void CloseHandshake::Begin(Connection& connection, uint16_t code, std::string_view reason,
                           CloseReason cause) {
  if (state_ != State::kOpen) return;
  state_ = State::kAwaitingPeer;
  cause_ = cause;
  SendCloseFrame(connection, code, reason);
  connection.SetWait(Wait::kClose);
}

void CloseHandshake::OnPeerClose(Connection& connection, std::string_view payload) {
  const ClosePayload close = ParseClosePayload(payload);
  peer_code_ = close.code;
  if (!close.reason.empty()) peer_reason_ = std::make_unique<std::string>(close.reason);
  const bool ours_was_first = state_ == State::kAwaitingPeer;
  state_ = State::kDone;
  if (!ours_was_first) SendCloseFrame(connection, close.code, {});
  // Lingering, since a peer that goes on talking would otherwise lose our frame to a reset.
  connection.CloseAfterFlush(ours_was_first ? cause_ : CloseReason::kPeerClosed, Linger::kYes);
}

void CloseHandshake::Fail(Connection& connection, CloseCode code) {
  SendGoodbye(connection, code);
  connection.CloseAfterFlush(CauseOf(code), Linger::kYes);
}

void CloseHandshake::Refuse(Connection& connection, std::string_view reason, CloseReason cause) {
  SendGoodbye(connection, CloseCode::kPolicyViolation, reason);
  connection.CloseAfterFlush(cause, Linger::kYes);
}

void CloseHandshake::OnInputEnd(Connection& connection) {
  const bool awaiting = state_ == State::kAwaitingPeer;
  state_ = State::kDone;
  connection.CloseAfterFlush(awaiting ? cause_ : CloseReason::kPeerClosed);
}

void CloseHandshake::SendGoodbye(Connection& connection, CloseCode code, std::string_view reason) {
  if (state_ == State::kOpen) SendCloseFrame(connection, static_cast<uint16_t>(code), reason);
  state_ = State::kDone;
}

void CloseHandshake::Save(StateWriter& out) const {
  out.Bool(awaiting_peer());
  if (!awaiting_peer()) return;
  out.Unsigned(sent_code_);
  // Its name, which other releases know; its number may be another there.
  out.Bytes(CloseReasonName(cause_));
}

bool CloseHandshake::Load(StateReader& in) {
  if (!in.Bool()) return in.ok();
  const auto code = static_cast<uint16_t>(in.UnsignedUpTo(UINT16_MAX));
  const std::string_view cause = in.Bytes();
  if (code != static_cast<uint16_t>(CloseCode::kNoStatus) && !IsCloseCodeOnWire(code)) return false;
  for (int i = 1; i < kCloseReasonCount; ++i) {
    if (CloseReasonName(static_cast<CloseReason>(i)) != cause) continue;
    state_ = State::kAwaitingPeer;
    sent_code_ = code;
    cause_ = static_cast<CloseReason>(i);
  }
  return awaiting_peer() && in.ok();
}

CloseInfo CloseHandshake::Info(CloseReason cause) const {
  CloseInfo info;
  info.cause = cause;
  if (peer_code_ != 0) {
    info.code = peer_code_;
  } else if (sent_code_ != 0) {
    info.code = sent_code_;
  }
  if (peer_reason_ != nullptr) info.reason = *peer_reason_;
  return info;
}

}  // namespace ringmaster::websocket
