#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "engine/connection/connection.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/protocol.h"
#include "protocols/http/codec/request_head.h"
#include "protocols/websocket/codec/frame_parser.h"
#include "protocols/websocket/service/close_handshake.h"
#include "protocols/websocket/service/message.h"

namespace ringmaster::websocket {

class RouteBase;

// One WebSocket connection from its opening handshake to its end. Applications see it as
// Peer<Context> (peer.h); what does not depend on the context stands here. Worker thread only. A
// reference is valid until on_close has returned; keep id() across turns.
class SocketSession : public Session {
 public:
  SocketSession(const SocketSession&) = delete;
  SocketSession& operator=(const SocketSession&) = delete;

  // Of the connection: unique in the server's life.
  uint64_t id() const { return connection_.id(); }
  Connection& connection() const { return connection_; }
  // The request of the opening handshake. During on_open only.
  const http::RequestHead& request() const;
  // False once the closing handshake has begun or the connection failed.
  bool open() const { return close_.open() && connection_.open(); }

  // Queues one unfragmented message; it leaves at the end of this turn. Text must be UTF-8: what is
  // not would make the peer fail the connection.
  //
  // When there is no room, the policy decides (StreamOptions::send_queue_policy, or
  // connection().SetSendQueuePolicy).
  //
  // Results: kAboveHigh      queued, but the peer does not keep up: hold back until output has
  //                          drained
  //          kDroppedOldest  queued, in place of older messages
  //          kDroppedNewest  dropped
  //          kFull           refused: stream options, send_queue_bytes_max
  //          kClosed         refused: the closing handshake has begun (RFC 6455 section 5.5.1), or
  //                          the policy closes the connection (1008)
  SendResult Send(const Message& message) { return SendFrame(message.opcode, message.bytes); }
  SendResult SendText(std::string_view text) { return SendFrame(Opcode::kText, text); }
  SendResult SendBinary(std::string_view bytes) { return SendFrame(Opcode::kBinary, bytes); }
  // The answer reaches on_pong. Never dropped, refused when there is no room (kFull). Throws
  // std::invalid_argument for more than 125 bytes.
  SendResult Ping(std::string_view payload = {});

  // Bounds of this connection alone; see Connection::SetTimeout.
  //
  //   peer.SetTimeout(&Timeouts::read, std::chrono::minutes(30));
  void SetTimeout(Duration Timeouts::*timeout, Duration duration) {
    connection_.SetTimeout(timeout, duration);
  }
  void SetTimeouts(const Timeouts& timeouts) { connection_.SetTimeouts(timeouts); }

  // Begins the closing handshake; no message is received or sent any more. `reason` is UTF-8 and
  // cut to 123 bytes. Throws std::invalid_argument for a code that may not be on the wire
  // (close_code.h).
  void Close(uint16_t code = static_cast<uint16_t>(CloseCode::kNormal),
             std::string_view reason = {});

  ~SocketSession() override;

 protected:
  SocketSession(RouteBase& route, Connection& connection);
  RouteBase& route() const { return route_; }

 private:
  friend class RouteBase;

  // The application's handlers, with its context. May throw.
  virtual void InvokeOpen() = 0;
  virtual void InvokeMessage(const Message& message) = 0;
  virtual void InvokePing(std::string_view payload) = 0;
  virtual void InvokePong(std::string_view payload) = 0;
  virtual void InvokeBackpressure() = 0;
  virtual void InvokeDrained() = 0;
  virtual void InvokeClose(const CloseInfo& info) = 0;
  virtual void InvokeHandoff() = 0;
  virtual void InvokeAdopted() = 0;
  // Its context (engine/handoff/saved_context.h). LoadContextFrom may throw.
  virtual bool ContextMoves() const = 0;
  virtual void SaveContextTo(StateWriter& out) const = 0;
  virtual bool LoadContextFrom(StateReader& in) = 0;

  std::string_view protocol_name() const final { return "websocket"; }
  size_t OnInput(Connection& connection, std::span<char> input) final;
  void OnInputEnd(Connection& connection, size_t unconsumed) final;
  void OnTimeout(Connection& connection, CloseReason reason) final;
  void OnIdleProbe(Connection& connection) final;
  void OnBackpressure(Connection& connection) final;
  void OnSendQueueFull(Connection& connection) final;
  void OnDrained(Connection& connection) final;
  void OnStop(Connection& connection) final;
  void OnKilled(Connection& connection) final;
  void OnException(Connection& connection, std::string_view what) final;
  // session_move.cc
  bool CanMove(const Connection& connection) const final;
  void OnHandoff(Connection& connection) final;
  void Save(const Connection& connection, StateWriter& out) const final;
  void OnAdopted(Connection& connection) final;
  bool Load(StateReader::Part saved);
  void OnClosed(Connection& connection, CloseReason reason) final;

  SendResult SendControlFrame(Opcode opcode, std::string_view payload);
  SendResult SendFrame(Opcode opcode, std::string_view payload);
  void OnEvent(const FrameEvent& event);
  void BoundIncompleteMessage(bool begun_now);

  RouteBase& route_;
  // Stable from accept to OnClosed: a session does not outlive its connection.
  Connection& connection_;
  FrameParser parser_;
  CloseHandshake close_;
};

static_assert(sizeof(SocketSession) <= 80, "every idle connection pays for this");

}  // namespace ringmaster::websocket
