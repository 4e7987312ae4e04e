#include "engine/handoff/load_guard.h"
#include "protocols/websocket/service/route.h"
#include "protocols/websocket/service/saved_frames.h"
#include "protocols/websocket/service/socket_session.h"

// Moving to another process: the frame or message that is incomplete, a closing handshake that
// waits for the peer, the application's context. Whatever else there is stands in the route.

namespace ringmaster::websocket {
namespace {

constexpr uint32_t kStateVersion = 1;

}  // namespace

bool SocketSession::CanMove(const Connection& connection) const {
  return connection.open() && close_.CanMove() && !parser_.finished() && ContextMoves() &&
         route_.can_be_found();
}

void SocketSession::OnHandoff(Connection&) { InvokeHandoff(); }

void SocketSession::Save(const Connection&, StateWriter& out) const {
  route_.SaveUpgraded(out, kStateVersion, [this](StateWriter& part) {
    SaveFrames(parser_, part);
    close_.Save(part);
    SaveContextTo(part);
  });
}

bool SocketSession::Load(StateReader::Part saved) {
  return saved.version > 0 && LoadFrames(parser_, route_.limits, saved.state) &&
         close_.Load(saved.state) && ContextMoves() && LoadContextFrom(saved.state);
}

void SocketSession::OnAdopted(Connection& connection) {
  route_.UseOptions(connection);
  connection.SetHeldBytes(parser_.held_bytes(), 0);
  InvokeAdopted();
}

std::unique_ptr<Session> RouteBase::Restore(Connection& connection, StateReader::Part saved) {
  std::unique_ptr<SocketSession> session;
  const bool loaded = LoadGuarded(connection, [&] {
    session = NewSession(connection);
    return session->Load(saved);
  });
  if (!loaded) return nullptr;
  return session;
}

}  // namespace ringmaster::websocket
