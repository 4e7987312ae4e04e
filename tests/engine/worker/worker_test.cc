// The worker on a real io_uring with real sockets: what the simulation cannot show, the kernel's
// own answers. The state machine's corners are in tests/engine/simulation.

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "engine/framed_protocol.h"
#include "engine/ring/kernel_ring.h"
#include "engine/worker/worker.h"
#include "gtest/gtest.h"

namespace ringmaster {
namespace {

using namespace std::chrono_literals;

struct LineProtocol {
  static constexpr std::string_view kName = "line";
  using Message = std::string_view;
  static FrameResult Frame(std::string_view input) {
    const size_t end = input.find('\n');
    return end == input.npos ? FrameResult::More() : FrameResult::Message(end + 1);
  }
  static Message Decode(std::string_view frame) { return frame.substr(0, frame.size() - 1); }
  static void Encode(std::string_view message, std::string& out) { out.append(message) += '\n'; }
};

struct Counted {
  Counted() { ++constructed; }
  ~Counted() { ++destroyed; }
  static inline int constructed = 0;
  static inline int destroyed = 0;
};

int ListenOnLoopback(uint16_t& port, int backlog = 128) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(listen(fd, backlog), 0);
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return fd;
}

int ConnectTo(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

void SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

// Until FIN or RST; what was read.
std::string ReadToEnd(int fd) {
  std::string all;
  char buffer[65536];
  while (true) {
    const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
    if (got <= 0) return all;
    all.append(buffer, static_cast<size_t>(got));
  }
}

std::string ReadBytes(int fd, size_t bytes) {
  std::string all(bytes, '\0');
  const ssize_t got = recv(fd, all.data(), bytes, MSG_WAITALL);
  all.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return all;
}

// A worker with one listener, turned on the test's own thread until `client`, on another, has
// finished and the worker has stopped.
class WorkerTest : public testing::Test {
 protected:
  using Lines = FramedProtocol<LineProtocol, Counted>;
  using Peer = Lines::Peer;

  WorkerTest() {
    lines_.on_message = [](Peer& peer, std::string_view line) { peer.Send(line); };
    lines_.on_close = [this](Peer&, CloseReason reason) { close_reasons_.push_back(reason); };
    Counted::constructed = Counted::destroyed = 0;
  }

  void Run(const std::function<void(uint16_t port)>& client) {
    uint16_t port = 0;
    const int listening_fd = ListenOnLoopback(port);
    ListenerDefinition listener;
    listener.protocol = &lines_;
    listener.stream = stream_;
    server_.Listen(std::move(listener));
    WorkerEnvironment environment;
    environment.listening_fds = {listening_fd};
    environment.counters = &counters_;
    auto ring = KernelRing::Create({});
    ASSERT_TRUE(ring.ok()) << ring.status();
    worker_ = std::make_unique<Worker>(server_, environment, *std::move(ring));
    worker_->Start();
    if (started_) started_(*worker_, port);
    std::thread thread([&] {
      client(port);
      worker_->Post([this] { worker_->Stop(); });
    });
    while (worker_->Turn()) {
    }
    thread.join();
    EXPECT_EQ(counters_.connections_open.Get(), 0u);
    EXPECT_EQ(counters_.connections_closed.Get(),
              counters_.connections_accepted.Get() + outbound_count_);
    EXPECT_EQ(worker_->ring().BuffersAtHome(), worker_->ring().BufferCount());
    EXPECT_EQ(Counted::constructed, Counted::destroyed);
    worker_.reset();
    close(listening_fd);
  }

  StreamOptions stream_;
  ServerDefinition server_;
  Lines lines_;
  WorkerCounters counters_;
  std::unique_ptr<Worker> worker_;
  std::function<void(Worker&, uint16_t port)> started_;
  std::vector<CloseReason> close_reasons_;
  uint64_t outbound_count_ = 0;
};

TEST_F(WorkerTest, EchoesMessagesCutAtAnyByte) {
  Run([](uint16_t port) {
    const int fd = ConnectTo(port);
    for (const char byte : std::string_view("one\ntwo\n")) SendAll(fd, {&byte, 1});
    EXPECT_EQ(ReadBytes(fd, 8), "one\ntwo\n");
    close(fd);
  });
  EXPECT_EQ(close_reasons_, std::vector{CloseReason::kPeerClosed});
}

TEST_F(WorkerTest, AnswersEverythingReceivedBeforeThePeersFin) {
  Run([](uint16_t port) {
    const int fd = ConnectTo(port);
    std::string sent;
    for (int i = 0; i < 20000; ++i) sent += "line " + std::to_string(i) + "\n";
    std::thread writer([&] {
      SendAll(fd, sent);
      shutdown(fd, SHUT_WR);
    });
    EXPECT_EQ(ReadToEnd(fd), sent);
    writer.join();
    close(fd);
  });
}

TEST_F(WorkerTest, SilentConnectionIsClosedAtTheHandshakeTimeout) {
  stream_.timeouts.handshake = 60ms;
  Run([](uint16_t port) {
    const int fd = ConnectTo(port);
    EXPECT_EQ(ReadToEnd(fd), "");
    close(fd);
  });
  EXPECT_EQ(close_reasons_, std::vector{CloseReason::kHandshakeTimeout});
}

TEST_F(WorkerTest, IdleConnectionIsClosedAtTheReadTimeoutCountedFromItsLastByte) {
  stream_.timeouts.handshake = 5s;
  stream_.timeouts.read = 150ms;
  Run([](uint16_t port) {
    const int fd = ConnectTo(port);
    const auto start = std::chrono::steady_clock::now();
    // Three messages, each after 2/3 of the timeout: activity must push the deadline out.
    for (int i = 0; i < 3; ++i) {
      timespec pause = {0, 100'000'000};
      nanosleep(&pause, nullptr);
      SendAll(fd, "x\n");
      EXPECT_EQ(ReadBytes(fd, 2), "x\n");
    }
    EXPECT_EQ(ReadToEnd(fd), "");
    const auto lived = std::chrono::steady_clock::now() - start;
    EXPECT_GE(lived, 450ms);
    close(fd);
  });
  EXPECT_EQ(close_reasons_, std::vector{CloseReason::kReadTimeout});
  EXPECT_GE(counters_.deadline_rearmed.Get(), 1u);
}

TEST_F(WorkerTest, TrickledMessageIsClosedAtTheMessageTimeout) {
  stream_.timeouts.message = 150ms;
  Run([](uint16_t port) {
    const int fd = ConnectTo(port);
    const auto start = std::chrono::steady_clock::now();
    // A byte every 20 ms would keep an idle timeout away for ever.
    std::atomic<bool> done = false;
    std::thread trickle([&] {
      while (!done) {
        if (send(fd, "x", 1, MSG_NOSIGNAL) != 1) return;
        timespec pause = {0, 20'000'000};
        nanosleep(&pause, nullptr);
      }
    });
    EXPECT_EQ(ReadToEnd(fd), "");
    done = true;
    trickle.join();
    EXPECT_GE(std::chrono::steady_clock::now() - start, 150ms);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
    close(fd);
  });
  EXPECT_EQ(close_reasons_, std::vector{CloseReason::kMessageTimeout});
}

TEST_F(WorkerTest, PeerThatReadsNothingIsClosedAtTheWriteTimeout) {
  stream_.timeouts.write = 150ms;
  lines_.on_message = [](Peer& peer, std::string_view) {
    peer.connection().Send(std::string(32u << 20, 'x'));
  };
  Run([](uint16_t port) {
    const int fd = ConnectTo(port);
    SendAll(fd, "more\n");
    // Reads nothing until the server has given up: POLLHUP or error comes without a read.
    EXPECT_LT(ReadBytes(fd, 1).size(), 2u);
    timespec pause = {0, 600'000'000};
    nanosleep(&pause, nullptr);
    EXPECT_LT(ReadToEnd(fd).size(), 32u << 20);
    close(fd);
  });
  EXPECT_EQ(close_reasons_, std::vector{CloseReason::kWriteTimeout});
  EXPECT_GE(counters_.send_stuck.Get(), 1u);
}

// It was counted as the regular end that had been begun, so that slow readers of last answers did
// not show; and the kernel went on keeping megabytes for a peer that only answered window probes.
TEST_F(WorkerTest, AWriteTimeoutOfALastAnswerIsItsReasonAndResetsTheConnection) {
  stream_.timeouts.write = 150ms;
  lines_.on_message = [](Peer& peer, std::string_view) {
    peer.connection().Send(std::string(32u << 20, 'x'));
    peer.connection().CloseAfterFlush(CloseReason::kLocal);
  };
  Run([](uint16_t port) {
    const int fd = ConnectTo(port);
    SendAll(fd, "more\n");
    // Without a read: an orderly end would not come before the bytes in front of it were taken.
    pollfd reset = {fd, 0, 0};
    EXPECT_EQ(poll(&reset, 1, 10'000), 1);
    EXPECT_NE(reset.revents & POLLERR, 0);
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    EXPECT_EQ(error, ECONNRESET);
    close(fd);
  });
  EXPECT_EQ(close_reasons_, std::vector{CloseReason::kWriteTimeout});
}

TEST_F(WorkerTest, OptionsGivenToAConnectionBoundWhatIsUnderWay) {
  stream_.timeouts.message = 60s;
  StreamOptions nearer = stream_;
  nearer.timeouts.message = 150ms;
  Connection* dripping = nullptr;
  lines_.on_open = [&](Peer& peer) { dripping = &peer.connection(); };
  std::chrono::steady_clock::time_point start;
  Run([&](uint16_t port) {
    const int fd = ConnectTo(port);
    start = std::chrono::steady_clock::now();
    SendAll(fd, "incomplete");
    while (counters_.bytes_received.Get() < 10) std::this_thread::yield();
    worker_->Post([&] { dripping->SetOptions(nearer); });
    EXPECT_EQ(ReadToEnd(fd), "");
    close(fd);
  });
  EXPECT_EQ(close_reasons_, std::vector{CloseReason::kMessageTimeout});
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

TEST_F(WorkerTest, OptionsGivenToAConnectionBringAndTakeALifetime) {
  StreamOptions mortal = stream_;
  mortal.timeouts.lifetime = 200ms;
  lines_.on_message = [&](Peer& peer, std::string_view line) {
    peer.connection().SetOptions(line == "mortal" ? mortal : stream_);
    peer.Send(line);
  };
  Run([&](uint16_t port) {
    const auto start = std::chrono::steady_clock::now();
    const int spared = ConnectTo(port);
    SendAll(spared, "mortal\n");
    EXPECT_EQ(ReadBytes(spared, 7), "mortal\n");
    SendAll(spared, "spared\n");
    EXPECT_EQ(ReadBytes(spared, 7), "spared\n");
    const int ended = ConnectTo(port);
    SendAll(ended, "mortal\n");
    EXPECT_EQ(ReadToEnd(ended), "mortal\n");
    EXPECT_GE(std::chrono::steady_clock::now() - start, 200ms);
    SendAll(spared, "lives\n");
    EXPECT_EQ(ReadBytes(spared, 6), "lives\n");
    close(spared);
    close(ended);
  });
  EXPECT_EQ(close_reasons_, (std::vector{CloseReason::kLifetime, CloseReason::kPeerClosed}));
}

TEST_F(WorkerTest, LifetimeEndsABusyConnection) {
  stream_.timeouts.lifetime = 200ms;
  Run([](uint16_t port) {
    const int fd = ConnectTo(port);
    int echoed = 0;
    while (true) {
      if (send(fd, "x\n", 2, MSG_NOSIGNAL) != 2 || ReadBytes(fd, 2).empty()) break;
      ++echoed;
    }
    EXPECT_GT(echoed, 0);
    close(fd);
  });
  EXPECT_EQ(close_reasons_, std::vector{CloseReason::kLifetime});
}

TEST_F(WorkerTest, ThrowingHandlerCostsItsOwnConnectionOnly) {
  lines_.on_message = [](Peer& peer, std::string_view line) {
    if (line == "throw") throw std::runtime_error("as asked");
    peer.Send(line);
  };
  Run([](uint16_t port) {
    const int good = ConnectTo(port);
    const int bad = ConnectTo(port);
    SendAll(good, "a\n");
    EXPECT_EQ(ReadBytes(good, 2), "a\n");
    SendAll(bad, "throw\nb\n");
    EXPECT_EQ(ReadToEnd(bad), "");
    SendAll(good, "c\n");
    EXPECT_EQ(ReadBytes(good, 2), "c\n");
    close(good);
    close(bad);
  });
  EXPECT_EQ(counters_.handler_exceptions.Get(), 1u);
  EXPECT_EQ(counters_.closed_by_reason[static_cast<int>(CloseReason::kHandlerError)].Get(), 1u);
}

TEST_F(WorkerTest, FileIsSentWholeBetweenOtherOutput) {
  char path[] = "/tmp/ringmaster-file-XXXXXX";
  const int file = mkstemp(path);
  ASSERT_GE(file, 0);
  std::string content;
  for (int i = 0; content.size() < 3'000'000; ++i) content += std::to_string(i) + ",";
  ASSERT_EQ(write(file, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  close(file);
  lines_.on_message = [&](Peer& peer, std::string_view) {
    peer.connection().Send("head:");
    peer.connection().SendFile(open(path, O_RDONLY | O_CLOEXEC), 0, content.size());
    peer.connection().Send(":tail");
    peer.Close();
  };
  Run([&](uint16_t port) {
    const int fd = ConnectTo(port);
    SendAll(fd, "file\n");
    EXPECT_EQ(ReadToEnd(fd), "head:" + content + ":tail");
    close(fd);
  });
  unlink(path);
}

// Sent back from where it was received, with the head written over what was in front of it. A peer
// that does not read must not keep the receive buffers: after it is stuck, others are still served.
TEST_F(WorkerTest, LargeMessagesComeBackWholeFromTheirReceiveBuffers) {
  lines_.on_message = [](Peer& peer, std::string_view line) {
    peer.connection().SendMessage(">", line, /*front_is_consumed=*/false);
    peer.connection().SendMessage("+", line, /*front_is_consumed=*/false);
  };
  Run([](uint16_t port) {
    std::vector<int> stuck;
    const std::string line(12'000, 's');
    for (int i = 0; i < 8; ++i) {
      stuck.push_back(ConnectTo(port));
      // More than the socket's buffers take in either direction, without anybody reading.
      timeval soon = {0, 200'000};
      setsockopt(stuck.back(), SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
      for (int k = 0; k < 600; ++k) {
        if (send(stuck.back(), (line + "\n").data(), line.size() + 1, MSG_NOSIGNAL) < 0) break;
      }
    }
    const int fd = ConnectTo(port);
    for (int i = 0; i < 50; ++i) {
      const std::string own(9'000 + static_cast<size_t>(i) * 100, static_cast<char>('a' + i % 26));
      SendAll(fd, own + "\n");
      EXPECT_EQ(ReadBytes(fd, 2 * own.size() + 2), ">" + own + "+" + own);
    }
    close(fd);
    for (const int other : stuck) close(other);
  });
  EXPECT_GE(counters_.send_stuck.Get(), 1u);
}

TEST_F(WorkerTest, ConnectionsBeyondTheLimitWaitAtTheDoorAndAreServedLater) {
  server_.options.worker_connections_max = 4;
  Run([this](uint16_t port) {
    std::vector<int> fds;
    for (int i = 0; i < 12; ++i) fds.push_back(ConnectTo(port));
    for (const int fd : fds) {
      SendAll(fd, "x\n");
      EXPECT_EQ(ReadBytes(fd, 2), "x\n");
      EXPECT_LE(counters_.connections_open.Get(), 4u);
      close(fd);
    }
  });
  EXPECT_EQ(counters_.connections_accepted.Get(), 12u);
}

TEST_F(WorkerTest, AcceptPausesWithoutDescriptorsAndGoesOnByItself) {
  // The kernel reads the limit when the accept is armed, so it is low from the start. Client and
  // server share this process's descriptors: the clients' own ends are made first, the rest is
  // filled up.
  rlimit before = {};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit low = before;
  low.rlim_cur = 64;
  setrlimit(RLIMIT_NOFILE, &low);
  Run([this](uint16_t port) {
    std::vector<int> waiting;
    for (int i = 0; i < 8; ++i) waiting.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    std::vector<int> filler;
    while (true) {
      const int fd = dup(waiting[0]);
      if (fd < 0) break;
      filler.push_back(fd);
    }
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (const int fd : waiting) {
      EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
      SendAll(fd, "x\n");
    }
    // Wait for the event itself: the first pause has been counted.
    while (counters_.accept_paused_descriptors.Get() == 0) std::this_thread::yield();
    for (const int fd : filler) close(fd);
    for (const int fd : waiting) {
      EXPECT_EQ(ReadBytes(fd, 2), "x\n");
      close(fd);
    }
  });
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_GE(counters_.accept_paused_descriptors.Get(), 1u);
  EXPECT_EQ(counters_.connections_accepted.Get(), 8u);
}

TEST_F(WorkerTest, OutboundConnectionSpeaksTheSameProtocolSeam) {
  outbound_count_ = 1;
  std::atomic<bool> echoed = false;
  Lines client;
  client.on_open = [](Peer& peer) { peer.Send(std::string_view("ping")); };
  client.on_message = [&](Peer& peer, std::string_view line) {
    EXPECT_EQ(line, "ping");
    echoed = true;
    peer.Close();
  };
  StreamOptions options;
  started_ = [&](Worker& worker, uint16_t port) {
    const auto address = Address::Parse("127.0.0.1:" + std::to_string(port));
    ASSERT_TRUE(address.ok());
    ASSERT_TRUE(worker.Connect(*address, client, options).ok());
  };
  Run([&](uint16_t) {
    while (!echoed) std::this_thread::yield();
  });
  EXPECT_EQ(counters_.connections_connected.Get(), 1u);
}

TEST_F(WorkerTest, RefusedOutboundConnectionSaysSo) {
  outbound_count_ = 1;
  std::atomic<int> reason = -1;
  Lines client;
  client.on_close = [&](Peer&, CloseReason why) { reason = static_cast<int>(why); };
  StreamOptions options;
  started_ = [&](Worker& worker, uint16_t) {
    uint16_t port = 0;
    close(ListenOnLoopback(port));
    ASSERT_TRUE(
        worker.Connect(*Address::Parse("127.0.0.1:" + std::to_string(port)), client, options).ok());
  };
  Run([&](uint16_t) {
    while (reason < 0) std::this_thread::yield();
  });
  EXPECT_EQ(reason, static_cast<int>(CloseReason::kConnectFailed));
}

// How long this thread has been ready to run while the machine ran others.
Duration TimeWithoutCpu() {
  uint64_t ran = 0;
  uint64_t waited = 0;
  std::ifstream("/proc/thread-self/schedstat") >> ran >> waited;
  return Duration(waited);
}

// Five figures, three connections each; the middle one of the three decides, so that one late
// wake-up of a busy machine does not.
TEST_F(WorkerTest, OutboundConnectionThatIsNeverAnsweredFailsAtTheConnectTimeout) {
  constexpr std::array kTimeouts = {30ms, 110ms, 200ms, 450ms, 1000ms};
  constexpr size_t kEach = 3;
  constexpr Duration kLateMax = 20ms;
  // A backlog that is full drops the SYN: nobody answers.
  uint16_t full_port = 0;
  const int full = ListenOnLoopback(full_port, 0);
  const int occupant = ConnectTo(full_port);
  const Address nobody = *Address::Parse("127.0.0.1:" + std::to_string(full_port));
  std::array<StreamOptions, kTimeouts.size()> options;
  std::array<std::vector<Duration>, kTimeouts.size()> late;
  std::vector<CloseReason> reasons;
  std::atomic<bool> done = false;
  std::array<Lines, kTimeouts.size()> clients;
  outbound_count_ = kTimeouts.size() * kEach;
  started_ = [&](Worker& worker, uint16_t) {
    for (size_t i = 0; i < kTimeouts.size(); ++i) {
      options[i].timeouts.connect = kTimeouts[i];
      const TimePoint start = worker.now();
      const Duration waited = TimeWithoutCpu();
      clients[i].on_close = [&, i, start, waited](Peer&, CloseReason reason) {
        const Duration took(worker.ring().Now() - start);
        EXPECT_GE(took, kTimeouts[i]);
        late[i].push_back(took - kTimeouts[i] - (TimeWithoutCpu() - waited));
        reasons.push_back(reason);
        done = reasons.size() == outbound_count_;
      };
      for (size_t n = 0; n < kEach; ++n) {
        ASSERT_TRUE(worker.Connect(nobody, clients[i], options[i]).ok());
      }
    }
  };
  Run([&](uint16_t) {
    while (!done) std::this_thread::yield();
  });
  EXPECT_EQ(reasons, std::vector(outbound_count_, CloseReason::kConnectTimeout));
  for (size_t i = 0; i < kTimeouts.size(); ++i) {
    std::sort(late[i].begin(), late[i].end());
    EXPECT_LE(late[i][kEach / 2], kLateMax) << kTimeouts[i].count() << " ms";
    RecordProperty("late_ns_of_" + std::to_string(kTimeouts[i].count()) + "_ms",
                   std::to_string(late[i][kEach / 2].count()));
  }
  close(occupant);
  close(full);
}

TEST_F(WorkerTest, GracefulStopAnswersWhatWasReceivedThenLeaves) {
  Run([this](uint16_t port) {
    const int fd = ConnectTo(port);
    SendAll(fd, "before\n");
    EXPECT_EQ(ReadBytes(fd, 7), "before\n");
    worker_->Post([this] { worker_->Stop(); });
    EXPECT_EQ(ReadToEnd(fd), "");
    close(fd);
  });
  EXPECT_EQ(close_reasons_, std::vector{CloseReason::kServerStopping});
}

TEST_F(WorkerTest, TimersFireOnceOrRepeatedlyUntilCancelled) {
  int once = 0;
  int repeated = 0;
  std::atomic<bool> done = false;
  started_ = [&](Worker& worker, uint16_t) {
    worker.AddTimer(10ms, 0ms, [&] { ++once; });
    const TimerId never = worker.AddTimer(5ms, 0ms, [&] { ADD_FAILURE() << "cancelled"; });
    EXPECT_TRUE(worker.CancelTimer(never));
    auto id = std::make_shared<TimerId>();
    *id = worker.AddTimer(10ms, 10ms, [&, id] {
      if (++repeated == 5) {
        worker.CancelTimer(*id);
        done = true;
      }
    });
  };
  Run([&](uint16_t) {
    while (!done) std::this_thread::yield();
  });
  EXPECT_EQ(once, 1);
  EXPECT_EQ(repeated, 5);
}

}  // namespace
}  // namespace ringmaster
