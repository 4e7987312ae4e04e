#include "protocols/proxy/service/proxy_protocol.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/base/log.h"
#include "engine/connection/connection.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/worker/worker.h"

namespace ringmaster::proxy {
namespace {

PeerAddress SourceOf(const ProxyHeader& header) {
  PeerAddress address;
  std::copy(std::begin(header.source.bytes), std::end(header.source.bytes), address.bytes);
  address.port = header.source.port;
  switch (header.family) {
    case ProxyHeader::Family::kIpv4:
      address.family = AF_INET;
      break;
    case ProxyHeader::Family::kIpv6:
      address.family = AF_INET6;
      break;
    case ProxyHeader::Family::kUnix:
      address.family = AF_UNIX;
      break;
    case ProxyHeader::Family::kNone:
      break;
  }
  return address;
}

// What a session saves that waits for its header. Nothing else: what has come of it stands in the
// connection's remainder.
constexpr std::string_view kSavedTag = "proxy header awaited";

}  // namespace

class ProxyProtocol::HeaderSession final : public Session {
 public:
  explicit HeaderSession(ProxyProtocol& protocol) : protocol_(protocol) {}

  size_t OnInput(Connection& connection, std::span<char> input) override {
    ProxyHeader header;
    const ProxyHeaderResult result = ParseProxyHeader({input.data(), input.size()}, header);
    if (result == ProxyHeaderResult::kNeedMore) return 0;
    if (result != ProxyHeaderResult::kDone) {
      connection.worker().counters().refused_proxy_header.Add();
      protocol_.LogRefusal(connection, ProxyHeaderReason(result));
      connection.Abort(CloseReason::kProtocolError);
      return input.size();
    }
    protocol_.OnHeader(connection, header);
    return header.header_bytes;
  }

  bool CanMove(const Connection& connection) const override { return connection.open(); }
  void Save(const Connection&, StateWriter& out) const override { out.Bytes(kSavedTag); }

 private:
  ProxyProtocol& protocol_;
};

std::unique_ptr<Session> ProxyProtocol::NewSession(Connection&) {
  return std::make_unique<HeaderSession>(*this);
}

std::unique_ptr<Session> ProxyProtocol::Restore(Connection& connection, StateReader& in) {
  StateReader tag = in;
  if (tag.Bytes() != kSavedTag) return inner_.Restore(connection, in);
  in = tag;
  return std::make_unique<HeaderSession>(*this);
}

void ProxyProtocol::OnHeader(Connection& connection, const ProxyHeader& header) {
  if (header.family != ProxyHeader::Family::kNone &&
      connection.worker().ReaddressConnection(connection, SourceOf(header)) != Refusal::kNone) {
    connection.Send(inner_.RefusalGoodbye());
    connection.CloseAfterFlush(CloseReason::kRefused, Linger::kYes);
    return;
  }
  std::unique_ptr<Session> session = inner_.NewSession(connection);
  if (session == nullptr) {
    connection.Abort(CloseReason::kHandlerError);
    return;
  }
  connection.StartOver(std::move(session));
}

void ProxyProtocol::LogRefusal(const Connection& connection, std::string_view reason) {
  uint64_t left_out = 0;
  if (!refusal_log_.Admit(connection.worker().now(), left_out)) return;
  if (left_out > 0) log::Get().warn("{} more refused proxies were not logged", left_out);
  log::Get().warn("connection of {} refused: {}", connection.peer().ToString(), reason);
}

void Listen(ServerDefinition& server, ListenerDefinition listener) {
  if (listener.proxy_protocol) {
    listener.protocol = &server.Keep(std::make_unique<ProxyProtocol>(*listener.protocol));
  }
  server.Listen(std::move(listener));
}

}  // namespace ringmaster::proxy
