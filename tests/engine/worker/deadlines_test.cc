// Every deadline of an accepted connection on a real io_uring: when it strikes, and what is told.

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "tests/engine/worker/worker_fixture.h"

namespace ringmaster {
namespace {

using namespace std::chrono_literals;

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
    AwaitClosed(2);
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

}  // namespace
}  // namespace ringmaster
