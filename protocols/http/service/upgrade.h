#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/connection/connection.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/protocol.h"
#include "protocols/http/codec/request_head.h"
#include "protocols/http/service/saved_session.h"

namespace ringmaster::http {

// Why a request to upgrade was refused: answered as an HTTP response, then the connection closes.
struct UpgradeRefusal {
  int status = 400;
  std::string reason;  // short text for the body
  std::string
      extra_fields;  // whole field lines, each ended by CRLF: "Sec-WebSocket-Version: 13\r\n"
};

// A route that takes the connection over after a request head (RFC 9110 section 7.8). This is how
// another protocol shares the port with HTTP: the HTTP session knows this interface and no protocol
// behind it.
class UpgradeRoute {
 public:
  virtual ~UpgradeRoute() = default;

  // `head` is complete and valid and its path matched this route; all earlier responses have been
  // sent or queued. Either queues the 101 and calls connection.ReplaceSession (the bytes behind the
  // head then go to the new session), and returns nullopt; or returns why not. `fields` are whole
  // lines that every answer carries, the 101 too; often there are none.
  virtual std::optional<UpgradeRefusal> Upgrade(Connection& connection, const RequestHead& head,
                                                std::string_view fields) = 0;

  // The session of a connection that the route of this pattern has upgraded in another process, or
  // nullptr; see Protocol::Restore. `saved` is what SaveUpgraded has written there. Default:
  // nullptr.
  virtual std::unique_ptr<Session> Restore(Connection&, StateReader::Part) { return nullptr; }

 protected:
  // Whether another process can tell which of its routes is this one: by the pattern, so it must
  // stand at one and at no other, whatever the services. For Session::CanMove.
  bool can_be_found() const { return !pattern_.empty() && !ambiguous_; }
  // For Session::Save: `write(StateWriter&)` writes what Restore of this route will read.
  template <typename Write>
  void SaveUpgraded(StateWriter& out, uint32_t version, Write&& write) const {
    out.Bytes(kSavedTag);
    out.Unsigned(static_cast<uint64_t>(SavedKind::kUpgraded));
    out.Bytes(pattern_);
    out.Part(version, std::forward<Write>(write));
  }

 private:
  friend class Service;
  void StandsAt(std::string_view pattern) {
    if (pattern_.empty()) pattern_ = pattern;
    ambiguous_ = ambiguous_ || pattern_ != pattern;
  }

  std::string pattern_;     // empty: at none so far
  bool ambiguous_ = false;  // at several
};

}  // namespace ringmaster::http
