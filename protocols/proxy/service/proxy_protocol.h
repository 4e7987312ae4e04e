#pragma once

#include <memory>
#include <string_view>

#include "engine/base/log_budget.h"
#include "engine/protocol.h"
#include "engine/server.h"
#include "protocols/proxy/codec/proxy_header.h"

namespace ringmaster::proxy {

// Any protocol behind a proxy that speaks the PROXY protocol, version 1 or 2: reads the header of
// each connection, gives the connection the address of the client that it names, asks the door for
// that address, and hands over to a session of `inner`, which sees none of it.
//
//   ListenerDefinition listener;
//   listener.protocol = &web;
//   listener.proxy_protocol = true;
//   listener.trusted_proxies = *CidrSet::Parse({"10.0.0.0/8"});
//   proxy::Listen(server, std::move(listener));
//
// The door lets trusted proxies in and nobody else. What begins with no valid header is closed
// without an answer (kProtocolError, refused_proxy_header); the header must be complete within
// timeouts.handshake. A client that the door refuses hears the goodbye of `inner` (kRefused). A
// proxy that speaks for itself (LOCAL, its health checks) or cannot say for whom (UNKNOWN) remains
// the peer.
class ProxyProtocol final : public Protocol {
 public:
  // `inner` outlives it.
  explicit ProxyProtocol(Protocol& inner) : inner_(inner) {}

  // Of what is spoken behind the header.
  std::string_view name() const override { return inner_.name(); }
  bool NamesPeer() const override { return true; }
  std::unique_ptr<Session> NewSession(Connection& connection) override;
  // Behind the header it is a session of `inner` that was saved.
  std::unique_ptr<Session> Restore(Connection& connection, StateReader& in) override;
  std::string_view RefusalGoodbye() const override { return inner_.RefusalGoodbye(); }

 private:
  class HeaderSession;

  void OnHeader(Connection& connection, const ProxyHeader& header);
  void LogRefusal(const Connection& connection, std::string_view reason);

  Protocol& inner_;
  LogBudget refusal_log_;
};

// Adds `listener` to `server`, behind the PROXY protocol if its definition says so.
void Listen(ServerDefinition& server, ListenerDefinition listener);

}  // namespace ringmaster::proxy
