#include "engine/protocol.h"

#include "engine/connection/connection.h"

// What a session does when it does not say otherwise.

namespace ringmaster {

std::string_view Session::protocol_name() const { return ""; }

void Session::OnConnected(Connection&) {}

void Session::OnInputEnd(Connection& connection, size_t) {
  connection.CloseAfterFlush(CloseReason::kPeerClosed);
}

void Session::OnTimeout(Connection&, CloseReason) {}

void Session::OnIdleProbe(Connection&) {}

void Session::OnBackpressure(Connection&) {}

void Session::OnSendQueueFull(Connection&) {}

void Session::OnDrained(Connection&) {}

void Session::OnDrain(Connection&) {}

void Session::OnStop(Connection& connection) {
  connection.CloseAfterFlush(CloseReason::kServerStopping);
}

void Session::OnKilled(Connection& connection) { connection.Abort(CloseReason::kKilled); }

bool Session::CanMove(const Connection&) const { return false; }

void Session::OnHandoff(Connection&) {}

void Session::Save(const Connection&, StateWriter&) const {}

void Session::OnAdopted(Connection&) {}

std::unique_ptr<Session> Protocol::Restore(Connection&, StateReader&) { return nullptr; }

void Session::OnException(Connection&, std::string_view) {}

void Session::OnClosed(Connection&, CloseReason) {}

}  // namespace ringmaster
