#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "protocols/http/service/upgrade.h"
#include "protocols/websocket/codec/handshake.h"
#include "protocols/websocket/codec/origin.h"
#include "protocols/websocket/service/peer.h"
#include "protocols/websocket/service/refusal_log.h"

namespace ringmaster::websocket {

// A path that speaks WebSocket: who may connect, within which bounds. What does not depend on the
// context stands here; see Route below.
class RouteBase : public http::UpgradeRoute {
 public:
  // Who may connect: entries as OriginPolicy::FromEntries describes them.
  // RINGMASTER_ALLOWED_ORIGINS in the environment takes the place of this list. Empty = pages of
  // the same origin.
  std::vector<std::string> allowed_origins;
  MissingOrigin missing_origin = MissingOrigin::kDefault;
  SameOriginScheme same_origin_scheme = SameOriginScheme::kHttp;
  // Spoken here, by their registered names. The first one a client offers is chosen.
  std::vector<std::string> subprotocols;
  FrameLimits limits;
  // Timeouts and queue bounds of this route's connections; without, those of the listener.
  std::optional<StreamOptions> stream;
  // After handshake and origin were found good, before anything is constructed: may still refuse.
  absl::AnyInvocable<std::optional<http::UpgradeRefusal>(const http::RequestHead&)> on_upgrade;

  RouteBase();

  // Checks the options, once they are complete and before the first request; a server that cannot
  // be right does not start. Upgrade does it if nobody has. Errors: kInvalidArgument, naming the
  // entry of allowed_origins and what would be right.
  absl::Status Prepare();

  std::optional<http::UpgradeRefusal> Upgrade(Connection& connection, const http::RequestHead& head,
                                              std::string_view fields) final;
  std::unique_ptr<Session> Restore(Connection& connection, StateReader::Part saved) final;

 private:
  friend class SocketSession;

  virtual std::unique_ptr<SocketSession> NewSession(Connection& connection) = 0;

  std::optional<http::UpgradeRefusal> Judge(Connection& connection, const http::RequestHead& head,
                                            Handshake& handshake);
  void Open(Connection& connection, const http::RequestHead& head,
            std::unique_ptr<SocketSession> session);
  void UseOptions(Connection& connection) const;
  http::UpgradeRefusal Refuse(Connection& connection, int counter, http::UpgradeRefusal refusal);

  std::optional<OriginPolicy> origin_policy_;  // after Prepare
  RefusalLog refusal_log_;
  WorkerCounters* counters_ = nullptr;          // of its worker, from its first session on
  const http::RequestHead* opening_ = nullptr;  // during on_open
  // During on_message: where the message begins. Sent back from there, it need not be copied.
  const char* delivering_ = nullptr;
};

// A path that speaks WebSocket, with `Context` as each connection's own state (void = none). Set up
// while the server is defined; outlives its connections.
//
//   Route<Player> game;
//   game.allowed_origins = {"https://game.example"};
//   game.on_open = [](auto& peer) { peer.context().name = "anon"; };
//   game.on_message = [](auto& peer, Message message) { peer.Send(message); };
//
// All handlers are optional and run on the worker's thread. One that throws costs its connection
// alone, which is closed with 1011.
//
// When the server is reloaded, connections move to the new worker process, without their peers
// noticing, if the context says how it is saved and loaded, or has nothing to save (void, an empty
// type); those of other contexts go on in the old worker until it drains. So do those of a route
// that stands at several paths: the new worker finds its route by the path. What is saved is read
// by another release, newer or (a reload that is taken back) older:
//
//   struct Player {
//     std::string name;
//     uint64_t score = 0;
//     Table* table = nullptr;  // of this process: on_adopted finds it again
//
//     static constexpr uint32_t kStateVersion = 2;  // 1 had no score
//     void Save(StateWriter& out) const {
//       out.Bytes(name);
//       out.Unsigned(score);
//     }
//     // On a new one. False: it cannot be read, the connection stays where it is.
//     bool Load(StateReader& in, uint32_t version) {
//       name = in.Bytes();
//       if (version >= 2) score = in.Unsigned();
//       return name.size() <= kNameBytesMax;
//     }
//   };
//
//   game.on_handoff = [](auto& peer) { peer.context().score = peer.context().table->ScoreNow(); };
//   game.on_adopted = [&](auto& peer) { peer.context().table = &tables.Seat(peer.id()); };
template <typename Context = void>
class Route final : public RouteBase {
 public:
  // peer.request() is the request of the handshake; messages sent here follow the 101.
  absl::AnyInvocable<void(Peer<Context>&)> on_open;
  absl::AnyInvocable<void(Peer<Context>&, const Message&)> on_message;
  // Once for each on_open or on_adopted that was called, unless the connection moved to another
  // worker; nothing can be sent any more.
  absl::AnyInvocable<void(Peer<Context>&, const CloseInfo&)> on_close;
  // A ping has been answered already.
  absl::AnyInvocable<void(Peer<Context>&, std::string_view)> on_ping;
  absl::AnyInvocable<void(Peer<Context>&, std::string_view)> on_pong;
  // The output queue went above its high watermark; called once, at the end of the turn. Nothing is
  // received until on_drained; what is sent for other reasons should be held back.
  absl::AnyInvocable<void(Peer<Context>&)> on_backpressure;
  // The output queue has drained after a Send returned kAboveHigh.
  absl::AnyInvocable<void(Peer<Context>&)> on_drained;
  // In the old worker: the connection is about to be saved. What the context should tell the new
  // worker is put into it now. It may go on here all the same, if the new worker cannot take it;
  // if it can, nothing more is called here: the context is destroyed, without on_close.
  absl::AnyInvocable<void(Peer<Context>&)> on_handoff;
  // In the new worker, in place of on_open: the peer is ours now, with the context that was loaded.
  // Worker::Find knows it by id(). It may be in its closing handshake (open()); on_close comes as
  // for any other.
  absl::AnyInvocable<void(Peer<Context>&)> on_adopted;

 private:
  std::unique_ptr<SocketSession> NewSession(Connection& connection) override {
    return std::unique_ptr<SocketSession>(new Peer<Context>(*this, connection));
  }
};

}  // namespace ringmaster::websocket
