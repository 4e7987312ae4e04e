#include "protocols/websocket/service/socket_session.h"

#include <cstring>
#include <stdexcept>

#include "absl/cleanup/cleanup.h"
#include "engine/base/check.h"
#include "engine/worker/worker.h"
#include "protocols/websocket/codec/frame_writer.h"
#include "protocols/websocket/service/route.h"
#include "protocols/websocket/service/websocket_counters.h"

namespace ringmaster::websocket {
namespace {

// What counts against the rate of messages: control frames make work too, and a flood of pings is
// answered with as many pongs.
bool IsMessage(FrameEvent::Kind kind) {
  return kind == FrameEvent::Kind::kMessage || kind == FrameEvent::Kind::kPing ||
         kind == FrameEvent::Kind::kPong;
}

}  // namespace

// Open is who has a session, from the handshake until it has ended or moved to another process.
SocketSession::SocketSession(RouteBase& route, Connection& connection)
    : route_(route), connection_(connection) {
  route_.counters_ = &connection.worker().counters();
  route_.counters_->protocol[WebSocketCounters::Get().open].Add();
}

SocketSession::~SocketSession() {
  route_.counters_->protocol[WebSocketCounters::Get().open].Subtract();
}

const http::RequestHead& SocketSession::request() const {
  CHECK(route_.opening_ != nullptr);
  return *route_.opening_;
}

SendResult SocketSession::SendControlFrame(Opcode opcode, std::string_view payload) {
  if (!close_.open()) return SendResult::kClosed;
  char frame[kFrameHeaderBytesMax + kControlPayloadBytesMax];
  const size_t header_bytes = WriteFrameHeader(frame, opcode, payload.size());
  payload.copy(frame + header_bytes, payload.size());
  const SendResult result = connection_.SendControl({frame, header_bytes + payload.size()});
  if (Queued(result)) CountSent(connection_.worker().counters(), opcode, payload.size());
  return result;
}

SendResult SocketSession::SendFrame(Opcode opcode, std::string_view payload) {
  if (!close_.open()) return SendResult::kClosed;
  char header[kFrameHeaderBytesMax];
  const size_t header_bytes = WriteFrameHeader(header, opcode, payload.size());
  // A message that is echoed has its own header in front, masking key included: longer than ours.
  const SendResult result = connection_.SendMessage({header, header_bytes}, payload,
                                                    payload.data() == route_.delivering_);
  if (Queued(result)) CountSent(connection_.worker().counters(), opcode, payload.size());
  return result;
}

SendResult SocketSession::Ping(std::string_view payload) {
  if (payload.size() > kControlPayloadBytesMax) {
    throw std::invalid_argument("a ping carries at most 125 bytes");
  }
  return SendControlFrame(Opcode::kPing, payload);
}

void SocketSession::Close(uint16_t code, std::string_view reason) {
  if (!IsCloseCodeOnWire(code)) throw std::invalid_argument("this close code is never sent");
  if (!IsValidUtf8(reason)) throw std::invalid_argument("a close reason is UTF-8");
  close_.Begin(connection_, code, reason, CloseReason::kLocal);
}

size_t SocketSession::OnInput(Connection& connection, std::span<char> input) {
  const size_t given = input.size();
  const FrameLimits& limits = route_.limits;
  bool between_messages = false;
  while (true) {
    const FrameEvent event = parser_.Next(input, limits);
    if (event.kind == FrameEvent::Kind::kNeedMore) break;
    if (IsMessage(event.kind) && close_.open() && !connection.TakeMessage()) [[unlikely]] {
      close_.Refuse(connection, "message rate", CloseReason::kMessageRate);
      break;
    }
    OnEvent(event);
    between_messages |= !parser_.incomplete();
    // A handler may have closed, paused, or filled the output queue: the rest stays for later.
    if (!connection.receiving()) break;
  }
  BoundIncompleteMessage(between_messages);
  connection.SetHeldBytes(parser_.held_bytes(), 0);
  return given - input.size();
}

void SocketSession::OnEvent(const FrameEvent& event) {
  WorkerCounters& counters = connection_.worker().counters();
  switch (event.kind) {
    case FrameEvent::Kind::kMessage:
      CountReceived(counters, event.opcode, event.payload.size());
      if (!close_.open()) return;
      connection_.CountMessage();
      {
        route_.delivering_ = event.text().data();
        const absl::Cleanup delivered = [this] { route_.delivering_ = nullptr; };
        InvokeMessage({event.text(), event.opcode});
      }
      return;
    case FrameEvent::Kind::kPing:
      CountReceived(counters, Opcode::kPing, event.payload.size());
      // Refused when the queue is full: a peer that asks and does not read has no use for it.
      SendControlFrame(Opcode::kPong, event.text());
      if (close_.open()) InvokePing(event.text());
      return;
    case FrameEvent::Kind::kPong:
      CountReceived(counters, Opcode::kPong, event.payload.size());
      if (close_.open()) InvokePong(event.text());
      return;
    case FrameEvent::Kind::kClose:
      CountReceived(counters, Opcode::kClose, event.payload.size());
      close_.OnPeerClose(connection_, event.text());
      return;
    case FrameEvent::Kind::kError:
      CountFrameError(counters, event.error);
      close_.Fail(connection_, event.error);
      return;
    case FrameEvent::Kind::kNeedMore:
      return;
  }
}

// A message left incomplete must come to its end within timeouts.message, however it drips in.
void SocketSession::BoundIncompleteMessage(bool begun_now) {
  if (!close_.open() || !connection_.open()) return;
  if (!parser_.incomplete()) {
    connection_.ClearWait();
  } else if (begun_now) {
    connection_.RestartWait(Wait::kMessage);
  } else {
    connection_.SetWait(Wait::kMessage);
  }
}

void SocketSession::OnInputEnd(Connection& connection, size_t) { close_.OnInputEnd(connection); }

void SocketSession::OnTimeout(Connection& connection, CloseReason reason) {
  // A peer that drips a message breaks our rules; one that is idle or too old just has to go.
  const bool message = reason == CloseReason::kMessageTimeout;
  close_.SendGoodbye(connection, message ? CloseCode::kPolicyViolation : CloseCode::kGoingAway);
}

void SocketSession::OnIdleProbe(Connection&) { SendControlFrame(Opcode::kPing, {}); }

void SocketSession::OnBackpressure(Connection&) {
  if (close_.open()) InvokeBackpressure();
}

void SocketSession::OnSendQueueFull(Connection& connection) {
  close_.SendGoodbye(connection, CloseCode::kPolicyViolation);
}

void SocketSession::OnDrained(Connection&) {
  if (close_.open()) InvokeDrained();
}

void SocketSession::OnStop(Connection& connection) {
  close_.Begin(connection, static_cast<uint16_t>(CloseCode::kGoingAway), {},
               CloseReason::kServerStopping);
}

// 1008 and not 1001: the server stays, and it is this peer that is not wanted. Clients take 1001 as
// an invitation to come back at once.
void SocketSession::OnKilled(Connection& connection) {
  close_.SendGoodbye(connection, CloseCode::kPolicyViolation);
  connection.CloseAfterFlush(CloseReason::kKilled);
}

void SocketSession::OnException(Connection& connection, std::string_view) {
  close_.SendGoodbye(connection, CloseCode::kInternalError);
}

void SocketSession::OnClosed(Connection&, CloseReason reason) { InvokeClose(close_.Info(reason)); }

}  // namespace ringmaster::websocket
