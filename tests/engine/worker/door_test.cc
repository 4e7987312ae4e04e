// The door on real sockets: who may come in, with one worker and with two that share their limits.

#include "engine/listener/door.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "engine/listener/farewell.h"
#include "engine/ring/kernel_ring.h"
#include "engine/worker/worker.h"
#include "gtest/gtest.h"
#include "tests/engine/await.h"
#include "tests/engine/worker/loopback.h"

namespace ringmaster {
namespace {

using namespace std::chrono_literals;

PeerAddress Named(const std::string& host) {
  const Address address = *Address::Parse(host + ":1");
  sockaddr_storage storage = {};
  std::memcpy(&storage, address.data(), address.size());
  return PeerAddress::Of(storage);
}

// Echoes; "as ADDRESS" instead makes the connection come from there, as a proxy's header would.
class EchoSession final : public Session {
 public:
  size_t OnInput(Connection& connection, std::span<char> input) override {
    connection.ClearWait();
    const std::string_view text(input.data(), input.size());
    if (text.starts_with("as ")) {
      const std::string host(text.substr(3));
      if (connection.worker().ReaddressConnection(connection, Named(host)) != Refusal::kNone) {
        connection.CloseAfterFlush(CloseReason::kRefused);
      } else {
        connection.Send(connection.peer().Host());
      }
    } else {
      connection.Send(text);
    }
    return input.size();
  }
};

class EchoProtocol final : public Protocol {
 public:
  std::string_view name() const override { return "echo"; }
  std::unique_ptr<Session> NewSession(Connection&) override {
    return std::make_unique<EchoSession>();
  }
  std::string_view RefusalGoodbye() const override { return "full\n"; }
};

// Workers in threads of their own, each with its own definition, listener and port, and with limits
// that they share as processes do.
class DoorTest : public testing::Test {
 protected:
  struct Node {
    ServerDefinition server;
    EchoProtocol protocol;
    WorkerCounters counters;
    std::unique_ptr<Worker> worker;
    std::thread thread;
    std::atomic<bool> started = false;
    int listening_fd = -1;
    uint16_t port = 0;
  };

  ~DoorTest() override { Stop(); }

  void Start(uint32_t worker_count) {
    for (uint32_t i = 0; i < worker_count; ++i) {
      Node& node = *nodes_.emplace_back(std::make_unique<Node>());
      node.server.options = options_;
      ListenerDefinition listener = listener_;
      listener.protocol = &node.protocol;
      node.server.Listen(std::move(listener));
    }
    if (SharedLimits::NeededBy(nodes_[0]->server)) {
      limits_ = *SharedLimits::Create(nodes_[0]->server, worker_count);
    }
    for (uint32_t i = 0; i < worker_count; ++i) {
      Node& node = *nodes_[i];
      node.listening_fd = ListenOnLoopback(node.port);
      WorkerEnvironment environment;
      environment.index = i;
      environment.listening_sockets = {{0, node.listening_fd}};
      environment.counters = &node.counters;
      environment.limits = limits_.get();
      node.thread = std::thread([&node, environment] {
        auto ring = KernelRing::Create({});
        ASSERT_TRUE(ring.ok()) << ring.status();
        node.worker = std::make_unique<Worker>(node.server, environment, *std::move(ring));
        node.worker->Start();
        node.started = true;
        while (node.worker->Turn()) {
        }
      });
      Await([&node] { return node.started.load(); });
    }
  }

  // Stops the workers and requires that nothing is counted any longer.
  void Stop() {
    for (const auto& node : nodes_) {
      Node* const stopped = node.get();
      stopped->worker->Post([stopped] { stopped->worker->Stop(); });
    }
    for (const auto& node : nodes_) {
      node->thread.join();
      EXPECT_EQ(node->counters.connections_open.Get(), 0u);
      EXPECT_EQ(node->counters.connections_accepted.Get(), node->counters.connections_closed.Get());
      node->worker.reset();
      close(node->listening_fd);
    }
    if (limits_ != nullptr) {
      EXPECT_EQ(limits_->count(0), 0u);
      EXPECT_EQ(limits_->count(1), 0u);
      Counter full;
      if (const auto addresses = limits_->Addresses(0, full)) {
        for (const char* host : {"127.0.0.1", "127.0.0.2", "192.0.2.1"}) {
          EXPECT_EQ(addresses->CountForTest(Named(host)), 0u) << host;
        }
      }
      for (uint32_t i = 0; i < nodes_.size(); ++i) EXPECT_FALSE(limits_->OthersWait(1, i));
    }
    nodes_.clear();
    limits_.reset();
  }

  int Connect(uint32_t worker, const char* host = "127.0.0.1") {
    return ConnectTo(nodes_[worker]->port, host);
  }
  static bool Served(int fd) {
    SendAll(fd, "x");
    return ReadBytes(fd, 1) == "x";
  }
  // Its goodbye, or nothing, and the end; not a reset.
  static std::string Goodbye(int fd) {
    std::string text;
    char buffer[64];
    ssize_t got = 0;
    while ((got = recv(fd, buffer, sizeof(buffer), 0)) > 0) text.append(buffer, got);
    EXPECT_EQ(got, 0) << strerror(errno);
    close(fd);
    return text;
  }
  // Closes, and waits until the worker has noticed.
  void Leave(uint32_t worker, int fd) {
    WorkerCounters& counters = nodes_[worker]->counters;
    const uint64_t before = counters.connections_closed.Get();
    close(fd);
    Await([&] { return counters.connections_closed.Get() > before; });
  }
  WorkerCounters& counters(uint32_t worker) { return nodes_[worker]->counters; }

  ServerOptions options_;
  ListenerDefinition listener_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::unique_ptr<SharedLimits> limits_;
};

TEST_F(DoorTest, AFullWorkerRefusesWithTheProtocolsGoodbye) {
  options_.worker_connections_max = 2;
  listener_.at_limit = AtLimit::kRefuse;
  Start(1);
  const int first = Connect(0);
  const int second = Connect(0);
  EXPECT_TRUE(Served(first));
  EXPECT_TRUE(Served(second));
  EXPECT_EQ(Goodbye(Connect(0)), "full\n");
  EXPECT_EQ(counters(0).refused_worker_max.Get(), 1u);
  Leave(0, first);
  const int third = Connect(0);
  EXPECT_TRUE(Served(third));
  Leave(0, second);
  Leave(0, third);
}

TEST_F(DoorTest, TheServersMaximumHoldsOverBothWorkers) {
  options_.connections_max = 3;
  listener_.at_limit = AtLimit::kRefuse;
  Start(2);
  const int fds[] = {Connect(0), Connect(1), Connect(0)};
  for (const int fd : fds) EXPECT_TRUE(Served(fd));
  EXPECT_EQ(Goodbye(Connect(0)), "full\n");
  EXPECT_EQ(Goodbye(Connect(1)), "full\n");
  EXPECT_EQ(counters(0).refused_server_max.Get(), 1u);
  EXPECT_EQ(counters(1).refused_server_max.Get(), 1u);
  Leave(1, fds[1]);
  const int fourth = Connect(0);
  EXPECT_TRUE(Served(fourth));
  EXPECT_EQ(Goodbye(Connect(1)), "full\n");
  for (const int fd : {fds[0], fds[2], fourth}) close(fd);
}

TEST_F(DoorTest, WhoWaitsIsServedWhenTheOtherWorkerMakesRoom) {
  listener_.connections_max = 2;
  Start(2);
  // In this order: the first worker still accepts when the second one reaches the limit.
  const int first = Connect(0);
  EXPECT_TRUE(Served(first));
  const int second = Connect(1);
  EXPECT_TRUE(Served(second));
  const int third = Connect(0);
  SendAll(third, "x");
  Await([&] { return counters(0).accept_held_limit.Get() == 1; });
  EXPECT_EQ(limits_->count(SharedLimits::ListenerGate(0)), 2u);
  pollfd readable = {third, POLLIN, 0};
  EXPECT_EQ(poll(&readable, 1, 50), 0) << "served beyond the limit";
  Leave(1, second);
  EXPECT_EQ(ReadBytes(third, 1), "x");
  EXPECT_EQ(counters(0).refused_listener_max.Get(), 0u);
  close(first);
  close(third);
}

// A worker that makes room while others wait does not always give it to its own queue: the one
// client of the other worker comes in long before fifty of this one have.
TEST_F(DoorTest, AWorkerWithALongQueueDoesNotStarveTheOther) {
  options_.connections_max = 1;
  Start(2);
  const int holder = Connect(0);
  EXPECT_TRUE(Served(holder));
  constexpr int kQueue = 50;
  std::vector<int> queue;
  for (int i = 0; i < kQueue; ++i) queue.push_back(Connect(0));
  const int other = Connect(1);
  Await([&] { return counters(1).accept_held_limit.Get() == 1; });
  std::atomic<int> served = 0;
  std::thread clients([&] {
    for (const int fd : queue) {
      EXPECT_TRUE(Served(fd));
      close(fd);
      ++served;
    }
  });
  close(holder);
  EXPECT_TRUE(Served(other));
  EXPECT_LT(served, kQueue);
  close(other);
  clients.join();
}

TEST_F(DoorTest, AnAddressHasItsOwnMaximumOverBothWorkers) {
  options_.address.connections_max = 2;
  Start(2);
  const int fds[] = {Connect(0, "127.0.0.2"), Connect(1, "127.0.0.2")};
  for (const int fd : fds) EXPECT_TRUE(Served(fd));
  EXPECT_EQ(Goodbye(Connect(0, "127.0.0.2")), "full\n");
  EXPECT_EQ(Goodbye(Connect(1, "127.0.0.2")), "full\n");
  const int other = Connect(0, "127.0.0.3");
  EXPECT_TRUE(Served(other));
  EXPECT_EQ(counters(0).refused_address_max.Get(), 1u);
  EXPECT_EQ(counters(1).refused_address_max.Get(), 1u);
  Leave(0, fds[0]);
  const int again = Connect(1, "127.0.0.2");
  EXPECT_TRUE(Served(again));
  for (const int fd : {fds[1], other, again}) close(fd);
}

TEST_F(DoorTest, NewConnectionsComeAtTheRatesOfAddressListenerAndServer) {
  constexpr double kHourly = 1.0 / 3600;
  options_.accept_rate = {.per_second = kHourly, .burst = 4};
  listener_.accept_rate = {.per_second = kHourly, .burst = 3};
  options_.address.accept_rate = {.per_second = kHourly, .burst = 2};
  Start(2);
  std::vector<int> fds;
  const auto serve = [&](uint32_t worker, const char* host) {
    fds.push_back(Connect(worker, host));
    return Served(fds.back());
  };
  EXPECT_TRUE(serve(0, "127.0.0.2"));
  EXPECT_TRUE(serve(1, "127.0.0.2"));
  EXPECT_EQ(Goodbye(Connect(0, "127.0.0.2")), "full\n");
  EXPECT_EQ(counters(0).refused_address_rate.Get(), 1u);
  // What its address's rate refused has used up nothing of the listener's three.
  EXPECT_TRUE(serve(1, "127.0.0.3"));
  EXPECT_EQ(Goodbye(Connect(1, "127.0.0.3")), "full\n");
  EXPECT_EQ(counters(1).refused_listener_rate.Get(), 1u);
  EXPECT_EQ(counters(0).refused_server_rate.Get() + counters(1).refused_server_rate.Get(), 0u);
  for (const int fd : fds) close(fd);
}

TEST_F(DoorTest, TheServersRateRefusesWhereNoNarrowerOneDoes) {
  options_.accept_rate = {.per_second = 1.0 / 3600, .burst = 2};
  Start(2);
  const int fds[] = {Connect(0), Connect(1)};
  for (const int fd : fds) EXPECT_TRUE(Served(fd));
  EXPECT_EQ(Goodbye(Connect(1)), "full\n");
  EXPECT_EQ(counters(1).refused_server_rate.Get(), 1u);
  for (const int fd : fds) close(fd);
}

TEST_F(DoorTest, DeniedAndNotAllowedAddressesAreClosedWithoutAWord) {
  listener_.allow = *CidrSet::Parse({"127.0.0.0/30"});
  listener_.deny = *CidrSet::Parse({"127.0.0.2"});
  Start(1);
  const int fd = Connect(0);
  EXPECT_TRUE(Served(fd));
  EXPECT_EQ(Goodbye(Connect(0, "127.0.0.2")), "");
  EXPECT_EQ(Goodbye(Connect(0, "127.0.0.5")), "");
  EXPECT_EQ(counters(0).refused_denied.Get(), 2u);
  close(fd);
}

TEST_F(DoorTest, BehindTheProxyProtocolOnlyTrustedProxiesComeInAndAreNotCounted) {
  listener_.proxy_protocol = true;
  listener_.trusted_proxies = *CidrSet::Parse({"127.0.0.1"});
  options_.address.connections_max = 1;
  Start(1);
  EXPECT_EQ(Goodbye(Connect(0, "127.0.0.2")), "");
  EXPECT_EQ(counters(0).refused_proxy_untrusted.Get(), 1u);
  const int first = Connect(0);
  const int second = Connect(0);
  EXPECT_TRUE(Served(first));
  EXPECT_TRUE(Served(second));
  close(first);
  close(second);
}

TEST_F(DoorTest, ExemptAddressesAreNeitherCountedNorRefused) {
  options_.address.connections_max = 1;
  options_.address.accept_rate = {.per_second = 1.0 / 3600, .burst = 1};
  options_.address.exempt = *CidrSet::Parse({"127.0.0.2"});
  Start(1);
  std::vector<int> fds;
  for (int i = 0; i < 5; ++i) {
    fds.push_back(Connect(0, "127.0.0.2"));
    EXPECT_TRUE(Served(fds.back()));
  }
  for (const int fd : fds) close(fd);
}

TEST_F(DoorTest, AReaddressedConnectionCountsForTheAddressThatWasNamed) {
  options_.address.connections_max = 1;
  Start(1);
  const int first = Connect(0);
  SendAll(first, "as 192.0.2.1");
  EXPECT_EQ(ReadBytes(first, 9), "192.0.2.1");
  // Its own address has room again; the named one has none.
  const int second = Connect(0);
  EXPECT_TRUE(Served(second));
  SendAll(second, "as 192.0.2.1");
  EXPECT_EQ(ReadToEnd(second), "");
  EXPECT_EQ(counters(0).refused_address_max.Get(), 1u);
  Await([this] { return counters(0).connections_closed.Get() == 1; });
  EXPECT_EQ(counters(0).closed_by_reason[static_cast<int>(CloseReason::kRefused)].Get(), 1u);
  close(second);
  Leave(0, first);
  const int third = Connect(0);
  SendAll(third, "as 192.0.2.1");
  EXPECT_EQ(ReadBytes(third, 9), "192.0.2.1");
  close(third);
}

TEST_F(DoorTest, AReaddressedConnectionIsJudgedByTheListenersLists) {
  listener_.deny = *CidrSet::Parse({"192.0.2.0/24"});
  Start(1);
  const int fd = Connect(0);
  SendAll(fd, "as 192.0.2.1");
  EXPECT_EQ(ReadToEnd(fd), "");
  EXPECT_EQ(counters(0).refused_denied.Get(), 1u);
  close(fd);
}

// close(2) with a request unread would be answered with RST, which destroys the goodbye.
TEST_F(DoorTest, TheGoodbyeArrivesAlsoWhenThePeerHasMuchToSay) {
  options_.worker_connections_max = 1;
  listener_.at_limit = AtLimit::kRefuse;
  Start(1);
  const int holder = Connect(0);
  EXPECT_TRUE(Served(holder));
  for (int i = 0; i < 50; ++i) {
    const int fd = Connect(0);
    SendAll(fd, std::string(static_cast<size_t>(i) * 500, 'x'));
    EXPECT_EQ(Goodbye(fd), "full\n") << i;
  }
  EXPECT_EQ(counters(0).refused_worker_max.Get(), 50u);
  close(holder);
}

TEST_F(DoorTest, ARefusedPeerThatStaysIsClosedAfterAWhile) {
  options_.worker_connections_max = 1;
  listener_.at_limit = AtLimit::kRefuse;
  Start(1);
  const int holder = Connect(0);
  EXPECT_TRUE(Served(holder));
  // More than linger at a time: the rest is closed at once.
  std::vector<int> fds;
  for (uint32_t i = 0; i < Farewell::kLingeringMax + 20; ++i) fds.push_back(Connect(0));
  for (const int fd : fds) {
    EXPECT_EQ(ReadBytes(fd, 5), "full\n");
    // Sending is answered with RST once the descriptor is closed.
    Await([fd] { return send(fd, "x", 1, MSG_NOSIGNAL) < 0; });
    close(fd);
  }
  close(holder);
}

TEST_F(DoorTest, StoppingServesWhoWaitsAtTheDoor) {
  options_.connections_max = 1;
  Start(2);
  const int holder = Connect(1);
  EXPECT_TRUE(Served(holder));
  const int waiting = Connect(0);
  SendAll(waiting, "x");
  Await([&] { return counters(0).accept_held_limit.Get() == 1; });
  std::thread stop([this] { Stop(); });
  EXPECT_EQ(ReadToEnd(waiting), "x");
  stop.join();
  close(holder);
  close(waiting);
}

TEST_F(DoorTest, StoppingDoesNotWaitForRefusedPeersThatStay) {
  options_.worker_connections_max = 1;
  listener_.at_limit = AtLimit::kRefuse;
  // Several attempts, because a machine that is busy elsewhere may take longer once.
  Duration fastest = Farewell::kLinger;
  for (int attempt = 0; attempt < 5 && fastest >= Farewell::kLinger; ++attempt) {
    Start(1);
    const int holder = Connect(0);
    EXPECT_TRUE(Served(holder));
    const int refused = Connect(0);
    EXPECT_EQ(ReadBytes(refused, 5), "full\n");
    const auto begin = std::chrono::steady_clock::now();
    Stop();
    fastest = std::min<Duration>(fastest, std::chrono::steady_clock::now() - begin);
    close(refused);
    close(holder);
  }
  EXPECT_LT(fastest, Farewell::kLinger);
}

TEST_F(DoorTest, WithoutALimitNothingIsSharedAndNobodyIsAskedForHisAddress) {
  Start(1);
  EXPECT_EQ(limits_, nullptr);
  const int fd = Connect(0);
  EXPECT_TRUE(Served(fd));
  close(fd);
}

}  // namespace
}  // namespace ringmaster
