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

#include "tests/engine/worker/worker_fixture.h"
namespace ringmaster {
namespace {

using namespace std::chrono_literals;

TEST_F(WorkerTest, EchoesMessagesCutAtAnyByte) {
  Run([this](uint16_t port) {
    const int fd = ConnectTo(port);
    for (const char byte : std::string_view("one\ntwo\n")) SendAll(fd, {&byte, 1});
    EXPECT_EQ(ReadBytes(fd, 8), "one\ntwo\n");
    close(fd);
    AwaitClosed(1);
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

TEST_F(WorkerTest, TimesHandlersPerMessageAndTheTurnTheyAreIn) {
  lines_.on_message = [](Peer& peer, std::string_view line) {
    if (line == "slow") std::this_thread::sleep_for(20ms);
    peer.Send(line);
  };
  Run([](uint16_t port) {
    const int fd = ConnectTo(port);
    SendAll(fd, "slow\n");
    EXPECT_EQ(ReadBytes(fd, 5), "slow\n");
    // Pipelined messages share what their delivery took.
    SendAll(fd, "slow\n2\n3\n4\n");
    EXPECT_EQ(ReadBytes(fd, 11), "slow\n2\n3\n4\n");
    close(fd);
  });
  const HistogramSnapshot handler(counters_.handler_time);
  EXPECT_EQ(handler.count(), 5u);
  EXPECT_EQ(HistogramSnapshot(counters_.queue_time).count(), 5u);
  constexpr uint64_t kMillisecond = 1'000'000;
  EXPECT_GE(handler.max(), 20 * kMillisecond);
  EXPECT_GE(handler.sum(), 40 * kMillisecond);
  // One of five took 20 ms by itself, the others a share of their delivery's 20 ms.
  EXPECT_LT(handler.Percentile(20), handler.max());
  EXPECT_GE(HistogramSnapshot(counters_.turn_time).max(), 20 * kMillisecond);
  EXPECT_GE(HistogramSnapshot(counters_.turn_time).sum(), handler.sum());
}

TEST_F(WorkerTest, MessagesThatWaitBehindASlowHandlerAreTimedAsQueued) {
  std::atomic<bool> all_sent = false;
  lines_.on_message = [&](Peer& peer, std::string_view line) {
    // Holds the loop until the slow ones wait in the kernel: they come in one turn.
    if (line == "gate") all_sent.wait(false);
    if (line == "slow") std::this_thread::sleep_for(20ms);
    peer.Send(line);
  };
  Run([&](uint16_t port) {
    const int fds[3] = {ConnectTo(port), ConnectTo(port), ConnectTo(port)};
    for (const int fd : fds) {
      SendAll(fd, "open\n");  // accepted, and its receive is armed
      EXPECT_EQ(ReadBytes(fd, 5), "open\n");
    }
    SendAll(fds[0], "gate\n");
    SendAll(fds[1], "slow\n");
    SendAll(fds[2], "slow\n");
    all_sent = true;
    all_sent.notify_one();
    for (const int fd : fds) {
      EXPECT_EQ(ReadBytes(fd, 5).size(), 5u);
      close(fd);
    }
  });
  EXPECT_GE(HistogramSnapshot(counters_.queue_time).max(), 20'000'000u);
}

TEST_F(WorkerTest, TimesNothingWhenTimingsAreOff) {
  server_.options.timings = false;
  Run([](uint16_t port) {
    const int fd = ConnectTo(port);
    SendAll(fd, "one\n");
    EXPECT_EQ(ReadBytes(fd, 4), "one\n");
    close(fd);
  });
  EXPECT_EQ(counters_.messages.Get(), 1u);
  EXPECT_EQ(HistogramSnapshot(counters_.handler_time).count(), 0u);
  EXPECT_EQ(HistogramSnapshot(counters_.turn_time).count(), 0u);
}

TEST_F(WorkerTest, PublishesMemoryAndRingFigures) {
  Run([this](uint16_t port) {
    const int fd = ConnectTo(port);
    SendAll(fd, "one\n");
    EXPECT_EQ(ReadBytes(fd, 4), "one\n");
    SendAll(fd, "two\n");  // the turn of the first has ended when the second is answered
    EXPECT_EQ(ReadBytes(fd, 4), "two\n");
    EXPECT_GT(counters_.slab_bytes.Get(), 0u);
    close(fd);
  });
  EXPECT_EQ(counters_.receive_buffers_in_use.Get(), 0u);
  EXPECT_EQ(counters_.ring_enters.Get(), counters_.loop_turns.Get());
  EXPECT_GT(counters_.ring_submissions.Get(), 0u);
  EXPECT_GT(counters_.ring_completions.Get(), 0u);
}

TEST_F(WorkerTest, MoreMessagesThanTheirRateCloseTheConnection) {
  stream_.message_rate = {.per_second = 0.001, .burst = 3};
  Run([](uint16_t port) {
    for (int i = 0; i < 2; ++i) {
      const int fd = ConnectTo(port);
      SendAll(fd, "1\n2\n3\n4\n5\n");
      EXPECT_EQ(ReadToEnd(fd), "1\n2\n3\n");
      close(fd);
    }
  });
  EXPECT_EQ(close_reasons_, (std::vector{CloseReason::kMessageRate, CloseReason::kMessageRate}));
  EXPECT_EQ(counters_.message_rate_limited.Get(), 2u);
  EXPECT_EQ(counters_.messages.Get(), 6u);
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

TEST_F(WorkerTest, AFramedProtocolHearsOfBackpressureAndDropsByItsPolicy) {
  stream_.send_queue_bytes_max = stream_.send_queue_bytes_high = 8u << 20;
  stream_.send_queue_bytes_low = 1u << 20;
  std::atomic<int> backpressure = 0;
  std::atomic<int> drained = 0;
  lines_.on_backpressure = [&](Peer&) { ++backpressure; };
  lines_.on_drained = [&](Peer&) { ++drained; };
  int dropped = 0;
  int queued = 0;
  lines_.on_message = [&](Peer& peer, std::string_view line) {
    if (line == "news") {
      // More than the socket and the queue hold.
      peer.connection().SetSendQueuePolicy(SendQueuePolicy::kDropNewest);
      for (int i = 0; i < 40; ++i) {
        const SendResult result = peer.Send(std::string(1u << 20, static_cast<char>('a' + i % 26)));
        dropped += result == SendResult::kDroppedNewest;
        queued += Queued(result);
      }
    } else {
      peer.connection().SetSendQueuePolicy(SendQueuePolicy::kRefuse);
      StreamOptions& own = stream_;
      own.send_queue_bytes_high = 2u << 20;
      peer.connection().SetOptions(own);
      for (int i = 0; i < 3; ++i) peer.Send(std::string(1u << 20, 'x'));
    }
  };
  Run([&](uint16_t port) {
    const int fd = ConnectTo(port);
    SendAll(fd, "news\n");
    std::string news = ReadBytes(fd, size_t{7} * ((1u << 20) + 1));
    EXPECT_EQ(std::count(news.begin(), news.end(), '\n'), 7);
    EXPECT_EQ(news.front(), 'a');
    EXPECT_EQ(news[news.size() - 2], 'g');
    SendAll(fd, "more\n");
    EXPECT_EQ(ReadBytes(fd, size_t{3} * ((1u << 20) + 1)).size(), size_t{3} * ((1u << 20) + 1));
    while (drained == 0) std::this_thread::yield();
    close(fd);
  });
  EXPECT_EQ(queued, 7);
  EXPECT_EQ(dropped, 33);
  EXPECT_EQ(counters_.send_dropped_newest.Get(), 33u);
  EXPECT_EQ(backpressure, 1);
  EXPECT_EQ(drained, 1);
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
