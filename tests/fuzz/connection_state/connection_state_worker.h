#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/unique_fd.h"
#include "engine/ring/kernel_ring.h"
#include "engine/worker/worker.h"
#include "tests/engine/simulation/moves.h"
#include "tests/fuzz/session_state/session_state_server.h"

namespace ringmaster {

// The new process to which connections come that another one has saved, or that somebody has made
// up: a real worker, with a listener for each of the protocols.
class ConnectionStateWorker {
 public:
  // `listening_fds`: none, or as many as there are protocols; they stay the caller's.
  explicit ConnectionStateWorker(const std::vector<int>& listening_fds = {}) {
    definition_.options.queue_time_max = Duration::zero();
    definition_.options.receive_buffer_count = 8;
    definition_.options.address.connections_max = 10;
    for (uint8_t i = 0; i < 3; ++i) {
      ListenerDefinition listener;
      // Its key; nobody listens there.
      listener.address = *Address::Parse("127.0.0.1:100" + std::to_string(i));
      listener.protocol = &server_.ProtocolOf(i);
      listener.stream.timeouts.close = std::chrono::milliseconds(5);
      // A state that is old is not over at once, with two of them.
      if (i != 2) {
        listener.stream.timeouts.read = listener.stream.timeouts.handshake =
            listener.stream.timeouts.header = listener.stream.timeouts.body =
                listener.stream.timeouts.message = Duration::zero();
        listener.stream.body_rate_bytes_min = 0;
      }
      listener.proxy_protocol = i == 1;
      CHECK(listener.trusted_proxies.Add("0.0.0.0/0").ok());
      definition_.Listen(std::move(listener));
    }
    WorkerEnvironment environment;
    environment.counters = &counters_;
    for (uint32_t i = 0; i < listening_fds.size(); ++i) {
      environment.listening_sockets.push_back({i, listening_fds[i]});
    }
    auto ring = KernelRing::Create({.buffer_count = 8, .buffer_bytes = 4096});
    CHECK(ring.ok());
    worker_ = std::make_unique<Worker>(definition_, environment, *std::move(ring));
    worker_->Start();
  }
  ~ConnectionStateWorker() {
    worker_->Post([this] { worker_->StopNow(); });
    while (worker_->Turn()) {
    }
  }

  Worker& worker() { return *worker_; }
  WorkerCounters& counters() { return counters_; }
  void Turn() {
    worker_->Post([] {});
    worker_->Turn();
  }

  // One connection made of `state`, whose peer says `input`; then it is over. False: `state` was
  // refused. Crashes when something is left behind.
  bool LiveThrough(std::string_view state, std::string_view input) {
    const int lowest_fd = LowestFd();
    const uint64_t accounted = Ended();
    bool adopted = false;
    {
      int fds[2];
      CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
      UniqueFd ours(fds[0]);
      UniqueFd peer(fds[1]);
      Connection* const connection = HandoffTestPeer::Adopt(*worker_, ours.get(), state);
      adopted = connection != nullptr;
      if (adopted) {
        ours.Release();
        const uint64_t id = connection->id();
        Talk(peer, input.substr(0, input.size() / 2));
        MoveOn(id);
        Talk(peer, input.substr(input.size() / 2));
        peer.Reset();
        Turn();
        if (Connection* left = worker_->Find(id)) left->Abort(CloseReason::kLocal);
        for (int turns = 0; Ended() == accounted || worker_->connection_count() > 0; ++turns) {
          CHECK(turns < 10'000);
          Turn();
        }
      }
    }
    CHECK(worker_->connection_count() == 0);
    CHECK(counters_.connections_open.Get() == 0);
    CHECK(worker_->buffered_bytes() == 0);
    CHECK(worker_->ring().BuffersAtHome() == worker_->ring().BufferCount());
    for (int turns = 0; LowestFd() != lowest_fd; ++turns) {
      CHECK(turns < 10'000);  // closed by the ring
      Turn();
    }
    return adopted;
  }

  // The state of a connection once it stands still; empty when it does not move.
  std::string SaveOf(uint64_t id) {
    std::string state;
    SlabPlace ref;
    Connection* const connection = worker_->Find(id);
    if (connection == nullptr || !HandoffTestPeer::Begin(*connection, ref)) return state;
    for (int turns = 0; HandoffTestPeer::Look(*worker_, ref) == Step::kNotYet; ++turns) {
      CHECK(turns < 10'000);
      Turn();
    }
    if (HandoffTestPeer::Look(*worker_, ref) != Step::kStanding) return state;
    if (!HandoffTestPeer::Save(*worker_, ref, state)) state.clear();
    HandoffTestPeer::StayHere(*worker_, ref);
    return state;
  }

 private:
  using Step = HandoffTestPeer::Step;

  static int LowestFd() {
    const int fd = dup(0);
    CHECK(fd >= 0);
    close(fd);
    return fd;
  }
  uint64_t Ended() const { return counters_.connections_closed.Get(); }

  void Talk(const UniqueFd& peer, std::string_view input) {
    const auto sent = ::send(peer.get(), input.data(), input.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    static_cast<void>(sent);
    for (int i = 0; i < 4; ++i) {
      Turn();
      char bytes[4096];
      while (::recv(peer.get(), bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
      }
    }
  }

  // What came by a move can move on.
  void MoveOn(uint64_t id) {
    Connection* const connection = worker_->Find(id);
    SlabPlace ref;
    if (connection == nullptr || !HandoffTestPeer::Begin(*connection, ref)) return;
    for (int turns = 0; HandoffTestPeer::Look(*worker_, ref) == Step::kNotYet; ++turns) {
      CHECK(turns < 10'000);
      Turn();
    }
    if (HandoffTestPeer::Look(*worker_, ref) != Step::kStanding) return;
    const Step step = HandoffTestPeer::Move(*worker_, ref);
    CHECK(step == Step::kMoved || step == Step::kStayed);
  }

  SessionStateServer server_;
  ServerDefinition definition_;
  WorkerCounters counters_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace ringmaster
