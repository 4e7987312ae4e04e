#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/connection/connection.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "protocols/websocket/codec/close_code.h"

namespace ringmaster::websocket {

// How a connection ended, as on_close hears it. `reason` is valid during that call.
struct CloseInfo {
  // Of the peer's close frame (1005 when that had none); without one, what we sent; without either,
  // 1006.
  uint16_t code = static_cast<uint16_t>(CloseCode::kAbnormal);
  std::string_view reason;  // of the peer's close frame
  CloseReason cause = CloseReason::kNone;
};

// The closing handshake of one connection, server side (RFC 6455 section 7). One close frame each
// way, ours last or first, then the server closes the TCP connection:
//
//            peer's close frame: echo          flush, FIN, linger
//   kOpen ────────────────────────────▶ kDone ───────────────────▶ closed
//     │    bad frame: Fail; timeout,      ▲
//     │    throw: SendGoodbye             │ peer's close frame, its FIN, or timeouts.close
//     └──────────────────────────▶ kAwaitingPeer
//          Begin (application, stop)
//
// From kAwaitingPeer on, nothing is sent any more and received messages are thrown away.
class CloseHandshake {
 public:
  // Whether messages may be sent and received.
  bool open() const { return state_ == State::kOpen; }
  bool awaiting_peer() const { return state_ == State::kAwaitingPeer; }

  // Sends our close frame and waits for the peer's, at most timeouts.close. The connection then
  // ends for `cause`. `reason` is cut to what a close frame holds. Nothing happens unless open().
  void Begin(Connection& connection, uint16_t code, std::string_view reason, CloseReason cause);
  // The peer's close frame, whose payload the parser has checked: answers it once, then closes.
  void OnPeerClose(Connection& connection, std::string_view payload);
  // The peer broke the protocol (section 7.1.7): tells it why, waits for no answer and closes.
  void Fail(Connection& connection, CloseCode code);
  // The peer does what it may not (1008), though no frame of it was wrong: as Fail, for `cause`.
  void Refuse(Connection& connection, std::string_view reason, CloseReason cause);
  // The peer's FIN: with or without a closing handshake, it is over.
  void OnInputEnd(Connection& connection);
  // A last frame before the engine closes; it waits for no answer.
  void SendGoodbye(Connection& connection, CloseCode code, std::string_view reason = {});

  CloseInfo Info(CloseReason cause) const;

  // Whether it can go on in another process: until the peer's close frame has come, or the goodbye
  // was said, which the engine's close follows.
  bool CanMove() const { return state_ != State::kDone; }
  void Save(StateWriter& out) const;
  // False: what was saved makes no sense.
  bool Load(StateReader& in);

 private:
  enum class State : uint8_t { kOpen, kAwaitingPeer, kDone };

  void SendCloseFrame(Connection& connection, uint16_t code, std::string_view reason);

  std::unique_ptr<std::string> peer_reason_;  // when the peer gave one
  uint16_t sent_code_ = 0;
  uint16_t peer_code_ = 0;  // 0: no close frame came
  State state_ = State::kOpen;
  CloseReason cause_ = CloseReason::kNone;  // while kAwaitingPeer
};

}  // namespace ringmaster::websocket
