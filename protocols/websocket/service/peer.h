#pragma once

#include <type_traits>

#include "engine/handoff/saved_context.h"
#include "protocols/websocket/service/socket_session.h"

namespace ringmaster::websocket {

template <typename Context>
class Route;

// Holds the application's state of one connection; void costs nothing.
template <typename Context>
class ContextHolder {
 public:
  Context& context() { return context_; }
  const Context& context() const { return context_; }

 private:
  Context context_{};
};
template <>
class ContextHolder<void> {};
struct NoSavedContext {};

// A WebSocket connection as its handlers see it: what it can do (Send, Close, ...) is in
// socket_session.h, and context() is the application's own state, default-constructed when the
// handshake was accepted (or loaded, when the connection came from another worker process) and
// destroyed with the connection, whatever ends it.
template <typename Context>
class Peer final : public SocketSession, public ContextHolder<Context> {
 private:
  friend class Route<Context>;
  using SocketSession::SocketSession;

  Route<Context>& typed_route() const { return static_cast<Route<Context>&>(route()); }
  template <typename Handler, typename... Arguments>
  void Call(Handler& handler, const Arguments&... arguments) {
    if (handler) handler(*this, arguments...);
  }

  void InvokeOpen() override { Call(typed_route().on_open); }
  void InvokeMessage(const Message& message) override { Call(typed_route().on_message, message); }
  void InvokePing(std::string_view payload) override { Call(typed_route().on_ping, payload); }
  void InvokePong(std::string_view payload) override { Call(typed_route().on_pong, payload); }
  void InvokeBackpressure() override { Call(typed_route().on_backpressure); }
  void InvokeDrained() override { Call(typed_route().on_drained); }
  void InvokeClose(const CloseInfo& info) override { Call(typed_route().on_close, info); }
  void InvokeHandoff() override { Call(typed_route().on_handoff); }
  void InvokeAdopted() override { Call(typed_route().on_adopted); }

  bool ContextMoves() const override { return kContextMoves<Context>; }
  void SaveContextTo(StateWriter& out) const override {
    if constexpr (std::is_void_v<Context>) {
      SaveContext(NoSavedContext(), out);
    } else {
      SaveContext(this->context(), out);
    }
  }
  bool LoadContextFrom(StateReader& in) override {
    if constexpr (std::is_void_v<Context>) {
      NoSavedContext none;
      return LoadContext(none, in);
    } else {
      return LoadContext(this->context(), in);
    }
  }
};

}  // namespace ringmaster::websocket
