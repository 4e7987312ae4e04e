#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "protocols/http/codec/request_head.h"

namespace ringmaster::websocket {

using FieldList = std::vector<std::pair<std::string_view, std::string_view>>;

inline constexpr std::string_view kTestHandshakeKey = "dGhlIHNhbXBsZSBub25jZQ==";

// The handshake of RFC 6455 section 1.2.
inline FieldList RfcHandshake() {
  return {{"Host", "server.example.com"},   {"Upgrade", "websocket"},
          {"Connection", "Upgrade"},        {"Sec-WebSocket-Key", kTestHandshakeKey},
          {"Origin", "http://example.com"}, {"Sec-WebSocket-Version", "13"}};
}

// A head as the HTTP parser would give it; the views are the caller's.
inline http::RequestHead MakeHead(const FieldList& fields) {
  http::RequestHead head;
  head.method = "GET";
  head.target = head.path = "/chat";
  for (const auto& [name, value] : fields) {
    if (name == "Host") head.host = value;
    head.fields[head.field_count++] = {name, value};
  }
  return head;
}

}  // namespace ringmaster::websocket
