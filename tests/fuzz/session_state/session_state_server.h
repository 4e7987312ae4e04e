#pragma once

#include <chrono>
#include <string>

#include "engine/framed_protocol.h"
#include "engine/worker/worker.h"
#include "protocols/http/service/request.h"
#include "protocols/http/service/response.h"
#include "protocols/http/service/service.h"
#include "protocols/proxy/service/proxy_protocol.h"
#include "protocols/websocket/service/websocket.h"
#include "tests/engine/handoff/moving_connection.h"
#include "tests/engine/line_protocol.h"

// The new process whose sessions are made of arbitrary bytes: an HTTP service with a WebSocket
// route, the same behind a proxy, and a protocol of lines.

namespace ringmaster {

inline constexpr size_t kMessageBytesMax = 512;

struct SavedPlayer {
  std::string name;
  uint64_t score = 0;

  static constexpr uint32_t kStateVersion = 1;
  void Save(StateWriter& out) const {
    out.Bytes(name);
    out.Unsigned(score);
  }
  bool Load(StateReader& in, uint32_t) {
    name = in.Bytes();
    score = in.Unsigned();
    return name.size() <= 32;
  }
};

struct SessionStateServer {
  SessionStateServer() {
    play.limits = {.message_bytes_max = kMessageBytesMax, .fragments_max = 8};
    play.on_message = [](auto& peer, const Message& message) {
      peer.context().name = message.bytes.substr(0, 32);
      ++peer.context().score;
      peer.Send(message);
    };
    play.on_adopted = [](auto& peer) { peer.SendText("welcome"); };
    CHECK(service.Upgrade("/play", &play).ok());
    CHECK(service
              .Any("/echo", [](http::Request& request,
                               http::Response& response) { response.Text(request.body()); })
              .ok());
    lines.message_bytes_max = kMessageBytesMax;
    lines.on_message = [](auto& peer, std::string_view line) { peer.Send(line); };
    lines.on_adopted = [](auto& peer) { peer.Send(std::string_view(peer.context().name)); };
  }

  Protocol& ProtocolOf(uint8_t choice) {
    switch (choice % 3) {
      case 0:
        return service;
      case 1:
        return proxy;
      default:
        return lines;
    }
  }

  websocket::Route<SavedPlayer> play;
  http::Service service;
  proxy::ProxyProtocol proxy{service};
  FramedProtocol<LineProtocol, SavedPlayer> lines;
};

}  // namespace ringmaster
