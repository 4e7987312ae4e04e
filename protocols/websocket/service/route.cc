#include "protocols/websocket/service/route.h"

#include <cstdlib>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "engine/base/log.h"
#include "engine/worker/worker.h"
#include "protocols/websocket/service/websocket_counters.h"

namespace ringmaster::websocket {

RouteBase::RouteBase() { WebSocketCounters::Get(); }

absl::Status RouteBase::Prepare() {
  auto policy = OriginPolicy::FromEnvironmentOr(
      std::getenv(kAllowedOriginsVariable), allowed_origins, missing_origin, same_origin_scheme);
  if (!policy.ok()) return policy.status();
  origin_policy_ = *std::move(policy);
  return absl::OkStatus();
}

std::optional<http::UpgradeRefusal> RouteBase::Upgrade(Connection& connection,
                                                       const http::RequestHead& head,
                                                       std::string_view fields) {
  Handshake handshake;
  if (auto refusal = Judge(connection, head, handshake)) return refusal;
  // Before the 101: a context that throws while it is constructed must not come after an accepting
  // answer.
  std::unique_ptr<SocketSession> session = NewSession(connection);
  if (connection.Send(FormatHandshakeResponse(handshake, fields)) >= SendResult::kFull) {
    connection.Abort(CloseReason::kSendQueueFull);
    return std::nullopt;
  }
  Open(connection, head, std::move(session));
  return std::nullopt;
}

// The handshake first, then the origin, then the application: no code of its own runs for a
// stranger.
std::optional<http::UpgradeRefusal> RouteBase::Judge(Connection& connection,
                                                     const http::RequestHead& head,
                                                     Handshake& handshake) {
  const WebSocketCounters& slots = WebSocketCounters::Get();
  handshake = CheckHandshake(head, subprotocols);
  if (handshake.error != HandshakeError::kNone) {
    return Refuse(
        connection, slots.refused_handshake[static_cast<int>(handshake.error)],
        {HandshakeErrorStatus(handshake.error), std::string(HandshakeErrorReason(handshake.error)),
         std::string(HandshakeErrorFields(handshake.error))});
  }
  if (!origin_policy_) {
    const absl::Status status = Prepare();
    if (!status.ok()) {
      log::Get().error("{}", std::string(status.message()));
      return http::UpgradeRefusal{500, "this route is not set up correctly", ""};
    }
  }
  const OriginVerdict verdict = origin_policy_->Check(head);
  if (verdict != OriginVerdict::kAllowed) {
    return Refuse(connection, slots.refused_origin[static_cast<int>(verdict)],
                  {403, std::string(OriginVerdictReason(verdict)), ""});
  }
  // A session that begins now would miss Session::OnStop, which its predecessor has heard.
  if (connection.worker().stopping()) {
    return Refuse(connection, slots.refused_stopping, {503, "the server is stopping", ""});
  }
  if (!on_upgrade) return std::nullopt;
  auto refusal = on_upgrade(head);
  if (!refusal) return std::nullopt;
  return Refuse(connection, slots.refused_by_application, *std::move(refusal));
}

http::UpgradeRefusal RouteBase::Refuse(Connection& connection, int counter,
                                       http::UpgradeRefusal refusal) {
  connection.worker().counters().protocol[counter].Add();
  refusal_log_.Refused(connection, refusal.status, refusal.reason);
  return refusal;
}

void RouteBase::UseOptions(Connection& connection) const {
  connection.EnableIdleProbe();
  // Also without options of our own: it moves the armed deadline to the first probe.
  connection.SetOptions(stream ? *stream : connection.shared_options());
}

void RouteBase::Open(Connection& connection, const http::RequestHead& head,
                     std::unique_ptr<SocketSession> session) {
  SocketSession& opened = *session;
  connection.ReplaceSession(std::move(session));
  connection.worker().counters().protocol[WebSocketCounters::Get().accepted].Add();
  connection.ClearWait();
  UseOptions(connection);
  opening_ = &head;
  const absl::Cleanup closed = [this] { opening_ = nullptr; };
  opened.InvokeOpen();
}

}  // namespace ringmaster::websocket
