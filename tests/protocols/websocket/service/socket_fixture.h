#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/server.h"
#include "engine/worker/worker.h"
#include "protocols/websocket/service/websocket.h"
#include "protocols/websocket/service/websocket_counters.h"
#include "tests/engine/simulation/simulated_ring.h"
#include "tests/protocols/websocket/codec/frames_for_test.h"
#include "tests/protocols/websocket/codec/head_for_test.h"

namespace ringmaster::websocket {

// Stands for the HTTP service: the first byte of a connection is its whole request head, and
// upgrades.
class UpgradeAtFirstByte final : public Protocol {
 public:
  explicit UpgradeAtFirstByte(http::UpgradeRoute& route) : route_(route) {}
  std::string_view name() const override { return "upgrade"; }
  std::unique_ptr<Session> NewSession(Connection&) override {
    return std::make_unique<Opening>(*this);
  }

  FieldList fields = {{"Host", "server.example.com"},
                      {"Upgrade", "websocket"},
                      {"Connection", "Upgrade"},
                      {"Sec-WebSocket-Key", kTestHandshakeKey},
                      {"Sec-WebSocket-Version", "13"}};
  std::optional<http::UpgradeRefusal> last_refusal;

 private:
  struct Opening final : public Session {
    explicit Opening(UpgradeAtFirstByte& of) : protocol(of) {}
    size_t OnInput(Connection& connection, std::span<char>) override {
      protocol.last_refusal = protocol.route_.Upgrade(connection, MakeHead(protocol.fields), {});
      if (protocol.last_refusal) connection.CloseAfterFlush(CloseReason::kLocal);
      return 1;
    }
    UpgradeAtFirstByte& protocol;
  };

  http::UpgradeRoute& route_;
};

struct CountedContext {
  CountedContext() { ++constructed; }
  ~CountedContext() { ++destroyed; }
  CountedContext(const CountedContext&) = delete;
  CountedContext& operator=(const CountedContext&) = delete;

  std::string name;
  static inline int constructed = 0;
  static inline int destroyed = 0;
};

// A worker on the simulated ring, whose clock stands still until the test lets it pass, and one
// peer.
class SocketFixture : public testing::Test {
 protected:
  using Stream = simulation::SimulatedStream;

  SocketFixture() {
    CountedContext::constructed = CountedContext::destroyed = 0;
    route_.on_open = [this](auto& peer) { id_ = peer.id(); };
    route_.on_message = [](auto& peer, const Message& message) { peer.Send(message); };
    route_.on_close = [this](auto&, const CloseInfo& info) {
      ++close_count_;
      close_ = info;
      close_reason_ = info.reason;
    };
  }
  ~SocketFixture() override {
    if (worker_ == nullptr) return;
    worker_->StopNow();
    for (int turns = 0; worker_->Turn(); ++turns) {
      if (turns == 10'000) {
        ADD_FAILURE() << "the worker does not stop";
        break;
      }
    }
    EXPECT_EQ(ring_->Leftovers(), "");
    EXPECT_EQ(CountedContext::constructed, CountedContext::destroyed);
    EXPECT_EQ(Count(WebSocketCounters::Get().open), 0u);
  }

  // Starts the worker with what route_, stream_ and world_ are by now.
  void Start() {
    auto ring = std::make_unique<simulation::SimulatedRing>(
        world_, simulation::SimulatedRing::Options{.buffer_count = 8, .buffer_bytes = 4096});
    ring_ = ring.get();
    WorkerEnvironment environment;
    environment.counters = &counters_;
    environment.listening_sockets = {{0, ring_->AddListener(16)}};
    listening_fd_ = environment.listening_sockets[0].fd;
    ListenerDefinition listener;
    listener.protocol = &protocol_;
    listener.stream = stream_;
    server_.Listen(std::move(listener));
    worker_ = std::make_unique<Worker>(server_, environment, std::move(ring));
    worker_->Start();
  }

  // A peer whose handshake is accepted; `frames` follow it without a pause.
  void Open(std::string_view frames = "") {
    if (worker_ == nullptr) Start();
    peer_ = ring_->ConnectPeer(listening_fd_, {});
    peer_->PeerSend("U");
    peer_->PeerSend(frames);
    AdvanceTime(std::chrono::milliseconds(1));
    received_ += peer_->PeerRead(SIZE_MAX);
    const size_t head = received_.find("\r\n\r\n");
    ASSERT_EQ(received_.substr(0, 12), "HTTP/1.1 101");
    received_.erase(0, head + 4);
  }

  void AdvanceTime(Duration duration) {
    bool over = false;
    worker_->AddTimer(duration, Duration::zero(), [&over] { over = true; });
    while (!over) worker_->Turn();
  }

  void Feed(std::string_view bytes) {
    ASSERT_EQ(peer_->PeerSend(bytes), bytes.size());
    AdvanceTime(std::chrono::milliseconds(1));
  }

  // The frames that reached the peer since the last call.
  std::string Frames() {
    received_ += peer_->PeerRead(SIZE_MAX);
    return FeedPiece(peer_parser_, std::exchange(received_, {}), {.message_bytes_max = 64u << 20});
  }

  static std::string Closed(uint16_t code, std::string_view reason = "") {
    return "close:" + ClosePayloadBytes(code, reason) + ";";
  }

  Connection* connection() { return worker_->Find(id_); }
  Peer<CountedContext>& socket() {
    return *static_cast<Peer<CountedContext>*>(connection()->session());
  }
  uint64_t Count(int slot) const { return counters_.protocol[slot].Get(); }

  simulation::World world_{7};
  Route<CountedContext> route_;
  UpgradeAtFirstByte protocol_{route_};
  StreamOptions stream_;
  ServerDefinition server_;
  WorkerCounters counters_;
  simulation::SimulatedRing* ring_ = nullptr;
  std::unique_ptr<Worker> worker_;
  int listening_fd_ = -1;
  std::shared_ptr<Stream> peer_;
  FrameParser peer_parser_{Role::kClient};
  std::string received_;

  uint64_t id_ = 0;
  int close_count_ = 0;
  CloseInfo close_;
  std::string close_reason_;
};

}  // namespace ringmaster::websocket
