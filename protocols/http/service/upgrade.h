#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/connection/connection.h"
#include "protocols/http/codec/request_head.h"

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
};

}  // namespace ringmaster::http
