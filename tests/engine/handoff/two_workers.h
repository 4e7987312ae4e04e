#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/descriptor_passing.h"
#include "engine/base/unique_fd.h"
#include "engine/limits/shared_limits.h"
#include "engine/process/control_message.h"
#include "engine/ring/kernel_ring.h"
#include "engine/server.h"
#include "engine/stats/counters.h"
#include "engine/worker/worker.h"
#include "gtest/gtest.h"
#include "tests/engine/handoff/moving_protocol.h"
#include "tests/engine/socket_bytes.h"
#include "tests/engine/worker/loopback.h"

// Two real workers on one thread, turned by the test, which plays the master: it makes the sockets
// between them and tells them what to do. The clients are real sockets.

namespace ringmaster {

inline size_t OpenDescriptors() {
  return static_cast<size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

struct SocketPair {
  explicit SocketPair(int type = SOCK_SEQPACKET) {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0);
    a.Reset(fds[0]);
    b.Reset(fds[1]);
  }
  UniqueFd a;
  UniqueFd b;
};

// One worker and what its master holds of it.
struct Side {
  Side(uint32_t at, Lives& lives) : index(at), protocol(lives) {}

  void Start(const ListenerDefinition& listener, int listening_fd, const ServerOptions& options,
             SharedLimits* limits, bool standby) {
    server.options = options;
    Define(listener);
    WorkerEnvironment environment;
    environment.index = index;
    environment.connection_prefix = static_cast<uint16_t>(index + 1);
    environment.standby = standby;
    environment.control_fd = control.b.get();
    environment.inbox_fd = inbox.b.get();
    environment.listening_sockets = {{0, listening_fd}};
    environment.counters = &counters;
    environment.limits = limits;
    auto ring = KernelRing::Create({});
    ASSERT_TRUE(ring.ok()) << ring.status();
    worker = std::make_unique<Worker>(server, environment, *std::move(ring));
    worker->Start();
  }
  void Define(ListenerDefinition listener) {
    if (!server.listeners().empty()) return;
    listener.protocol = &protocol;
    server.Listen(std::move(listener));
  }

  // Does what there is to do, without waiting for more.
  void Turn() {
    if (worker == nullptr || stopped) return;
    worker->Post([] {});
    stopped = !worker->Turn();
  }
  void Tell(ControlMessage message) { EXPECT_TRUE(ControlPacket{message}.Send(control.a.get())); }
  // The end of a channel to another worker.
  void Give(ControlMessage message, int channel) {
    EXPECT_TRUE(SendDescriptor(inbox.a.get(), channel));
    Tell(message);
  }
  // What it said to its master last, if anything.
  std::optional<ControlPacket> Heard() const {
    char bytes[ControlPacket::kBytesMax];
    const ssize_t got = recv(control.a.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
    return got <= 0 ? std::nullopt : ControlPacket::Read(bytes, static_cast<size_t>(got));
  }
  uint64_t open() const { return counters.connections_open.Get(); }

  const uint32_t index;
  MovingProtocol protocol;
  SocketPair control;
  SocketPair inbox;
  ServerDefinition server;
  WorkerCounters counters;
  std::unique_ptr<Worker> worker;
  bool stopped = false;
};

class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer_bytes = 0, const char* host = "127.0.0.1") {
    fd_.Reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (receive_buffer_bytes > 0) {
      EXPECT_EQ(setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                           sizeof(receive_buffer_bytes)),
                0);
    }
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    EXPECT_EQ(inet_pton(AF_INET, host, &address.sin_addr), 1);
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  void Send(std::string_view bytes) { SendAll(fd_.get(), bytes); }
  void Finish() { shutdown(fd_.get(), SHUT_WR); }
  void Close() { fd_.Reset(); }
  // Takes what is there.
  void Poll() {
    char buffer[65536];
    while (fd_.valid() && !ended_) {
      const ssize_t bytes = recv(fd_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
      if (bytes > 0) {
        got_.append(buffer, static_cast<size_t>(bytes));
      } else if (bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return;
      } else {
        ended_ = true;
        reset_ = bytes < 0;
      }
    }
  }
  const std::string& got() {
    Poll();
    return got_;
  }
  bool ended() {
    Poll();
    return ended_;
  }
  bool reset() {
    Poll();
    return reset_;
  }
  std::string Take() {
    Poll();
    return std::exchange(got_, {});
  }

 private:
  UniqueFd fd_;
  std::string got_;
  bool ended_ = false;
  bool reset_ = false;
};

class TwoWorkersTest : public testing::Test {
 protected:
  TwoWorkersTest() : descriptors_(OpenDescriptors()) {
    old_ = std::make_unique<Side>(0, lives_);
    new_ = std::make_unique<Side>(1, lives_);
    listening_fd_.Reset(ListenOnLoopback(port_, 4096));
    listener_.address = *Address::Parse("127.0.0.1:0");
    options_.queue_time_max = Duration::zero();
    options_.stop_timeout = std::chrono::seconds(5);
  }

  void Start() {
    old_->Start(listener_, listening_fd_.get(), options_, limits_.get(), /*standby=*/false);
    new_->Start(listener_, listening_fd_.get(), options_, limits_.get(), /*standby=*/true);
  }
  void ShareLimits() {
    old_->server.options = options_;
    old_->Define(listener_);
    limits_ = *SharedLimits::Create(old_->server, 2);
  }

  void Turn() {
    old_->Turn();
    new_->Turn();
  }
  void TurnTimes(int count) {
    for (int i = 0; i < count; ++i) Turn();
  }
  // Turns both until `condition` holds.
  template <typename Condition>
  [[nodiscard]] bool Until(Condition&& condition,
                           std::chrono::milliseconds at_most = std::chrono::seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + at_most;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      Turn();
    }
    return true;
  }
  void TurnFor(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) Turn();
  }

  Client& Connect(int receive_buffer_bytes = 0, const char* host = "127.0.0.1") {
    clients_.push_back(std::make_unique<Client>(port_, receive_buffer_bytes, host));
    const uint64_t before = old_->counters.connections_accepted.Get();
    EXPECT_TRUE(Until([&] { return old_->counters.connections_accepted.Get() > before; }));
    return *clients_.back();
  }
  // What the client hears to what it says.
  std::string Ask(Client& client, std::string_view line) {
    client.Send(std::string(line) + "\n");
    EXPECT_TRUE(Until([&] { return client.got().ends_with('\n'); }))
        << line << ": " << client.got();
    return client.Take();
  }
  void Say(Client& client, std::string_view line) {
    const uint64_t before = old_->counters.messages.Get() + new_->counters.messages.Get();
    client.Send(std::string(line) + "\n");
    EXPECT_TRUE(Until([&] {
      return old_->counters.messages.Get() + new_->counters.messages.Get() > before;
    })) << line;
  }

  // As the master does.
  void BeginHandOver() {
    const SocketPair channel;
    new_->Give(ControlMessage::kAdopt, channel.a.get());
    old_->Give(ControlMessage::kHandOver, channel.b.get());
  }
  // The test is the taker, or the giver.
  UniqueFd TakeFromOld() {
    SocketPair channel;
    old_->Give(ControlMessage::kHandOver, channel.b.get());
    return std::move(channel.a);
  }
  UniqueFd GiveToNew() {
    SocketPair channel;
    new_->Give(ControlMessage::kAdopt, channel.b.get());
    return std::move(channel.a);
  }
  // Both passes are over: how many were given until then.
  uint64_t AwaitHandedOver() { return Await(ControlMessage::kHandedOver); }
  // The taker is gone, or talks nonsense: how many were given until then.
  uint64_t AwaitBroken() { return Await(ControlMessage::kHandoffBroken); }
  uint64_t Await(ControlMessage message) {
    std::optional<ControlPacket> packet;
    EXPECT_TRUE(Until([&] { return (packet = old_->Heard()).has_value(); }));
    if (!packet) return 0;
    EXPECT_EQ(packet->message, message);
    return packet->argument;
  }
  uint64_t HandOver() {
    BeginHandOver();
    return AwaitHandedOver();
  }
  // For tests of what cannot move at once.
  [[nodiscard]] bool UntilOldIsEmpty() {
    return Until([&] { return old_->open() == 0; });
  }

  // The session of the connection that came `index`th.
  Life& LifeOf(size_t index) { return std::next(lives_.begin(), index)->second; }
  uint64_t IdOf(size_t index) { return std::next(lives_.begin(), index)->first; }
  uint64_t adopted() const { return new_->counters.connections_adopted.Get(); }
  uint64_t handed_over() const { return old_->counters.connections_handed_over.Get(); }

  void StopBoth() {
    for (Side* side : {old_.get(), new_.get()}) {
      if (side->worker == nullptr) side->stopped = true;
      if (!side->stopped) side->worker->Post([side] { side->worker->StopNow(); });
    }
    EXPECT_TRUE(Until([&] { return old_->stopped && new_->stopped; }));
  }

  // Whatever happened: nothing is left, and each connection's end was told once.
  void TearDown() override {
    StopBoth();
    uint64_t accepted = 0;
    uint64_t closed = 0;
    uint64_t connected = 0;
    for (const Side* side : {old_.get(), new_.get()}) {
      accepted += side->counters.connections_accepted.Get();
      connected += side->counters.connections_connected.Get();
      closed += side->counters.connections_closed.Get();
      EXPECT_EQ(side->open(), 0u);
      if (side->worker == nullptr) continue;
      EXPECT_EQ(side->worker->connection_count(), 0u);
      EXPECT_EQ(side->worker->buffered_bytes(), 0u);
      EXPECT_EQ(side->worker->ring().BuffersAtHome(), side->worker->ring().BufferCount());
    }
    EXPECT_EQ(closed + lost_, accepted + connected + inherited_);
    EXPECT_EQ(handed_over() + new_->counters.connections_handed_over.Get() + inherited_,
              adopted() + old_->counters.connections_adopted.Get() + lost_);
    for (const auto& [id, life] : lives_) {
      EXPECT_EQ(life.opened, 1) << id;
      EXPECT_EQ(life.closed, 1) << id;
      EXPECT_LE(life.timeouts, 1) << id;
      EXPECT_EQ(life.sessions_alive, 0) << id;
    }
    if (limits_ != nullptr) {
      EXPECT_EQ(limits_->count(SharedLimits::kServerGate), 0u);
      EXPECT_EQ(limits_->count(SharedLimits::ListenerGate(0)), 0u);
      Counter full;
      if (const auto addresses = limits_->Addresses(0, full)) {
        EXPECT_EQ(addresses->TotalForTest(), 0u);
      }
    }
    old_->worker.reset();
    new_->worker.reset();
    limits_.reset();
    old_.reset();
    new_.reset();
    listening_fd_.Reset();
    clients_.clear();
    EXPECT_EQ(OpenDescriptors(), descriptors_);
  }

  const size_t descriptors_;
  uint16_t port_ = 0;
  UniqueFd listening_fd_;
  ListenerDefinition listener_;
  ServerOptions options_;
  Lives lives_;
  uint64_t lost_ = 0;       // with a taker that died
  uint64_t inherited_ = 0;  // from a giver in another process
  std::unique_ptr<SharedLimits> limits_;
  std::unique_ptr<Side> old_;
  std::unique_ptr<Side> new_;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace ringmaster
