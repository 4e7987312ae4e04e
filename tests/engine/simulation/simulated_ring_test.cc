#include "tests/engine/simulation/simulated_ring.h"

#include <cerrno>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/time_points.h"

namespace ringmaster::simulation {
namespace {

constexpr UserData kAccept(1, 0, 0);
constexpr UserData kReceive(2, 0, 0);
constexpr UserData kSend(3, 0, 0);
constexpr UserData kTimeout(4, 0, 0);
constexpr UserData kOther(5, 0, 0);

class SimulatedRingTest : public testing::Test {
 protected:
  // One turn; returns what has completed once there are `completions_min`, or after a second.
  std::vector<Completion> Turn(uint32_t completions_min = 1) {
    Ring::Wait wait;
    wait.completions_min = completions_min;
    wait.deadline = ring_.Now() + 1000 * kMillisecond;
    ring_.SubmitAndWait(wait);
    std::vector<Completion> completions(64);
    completions.resize(ring_.Reap(completions));
    return completions;
  }

  // A connected pair: sets peer_ and returns the engine's descriptor.
  int Connect(const SimulatedStream::Room& room = {}) {
    ring_.SubmitAcceptMultishot(listener_, kAccept);
    peer_ = ring_.ConnectPeer(listener_, room);
    const std::vector<Completion> completions = Turn();
    EXPECT_EQ(completions.size(), 1u);
    return completions[0].result;
  }

  World world_{7};
  SimulatedRing ring_{world_, {.buffer_count = 4, .buffer_bytes = 64}};
  int listener_ = ring_.AddListener(8);
  std::shared_ptr<SimulatedStream> peer_;
};

TEST_F(SimulatedRingTest, DeliversAPeersBytesInProvidedBuffersAndThenItsEnd) {
  const int fd = Connect();
  ring_.SubmitRecvMultishot(fd, kReceive, {});
  EXPECT_EQ(peer_->PeerSend(std::string(100, 'x')), 100u);
  peer_->PeerFinish();
  const std::vector<Completion> completions = Turn(3);
  ASSERT_EQ(completions.size(), 3u);
  EXPECT_EQ(completions[0].result, 64);
  EXPECT_EQ(completions[1].result, 36);
  EXPECT_TRUE(completions[1].more());
  EXPECT_EQ(ring_.BufferOf(completions[1])[35], 'x');
  EXPECT_EQ(completions[2].result, 0);
  EXPECT_FALSE(completions[2].more());
  EXPECT_EQ(ring_.BuffersAtHome(), 3u);  // one was opened
}

TEST_F(SimulatedRingTest, KeepsTheBytesWhenBuffersRunOut) {
  const int fd = Connect();
  ring_.SubmitRecvMultishot(fd, kReceive, {});
  peer_->PeerSend(std::string(300, 'x'));
  std::vector<Completion> completions = Turn(5);
  ASSERT_EQ(completions.size(), 5u);
  EXPECT_EQ(completions[4].result, -ENOBUFS);
  EXPECT_FALSE(completions[4].more());
  for (int i = 0; i < 4; ++i) {
    ring_.BufferOf(completions[i]);
    ring_.ReturnBuffer(completions[i].buffer_id());
  }
  ring_.SubmitRecvMultishot(fd, kReceive, {});
  completions = Turn();
  ASSERT_EQ(completions.size(), 1u);
  EXPECT_EQ(completions[0].result, 300 - 4 * 64);
}

TEST_F(SimulatedRingTest, EndsAReceiveAtItsTotalDeadlineAlthoughBytesFlow) {
  const int fd = Connect();
  const TimePoint start = ring_.Now();
  ring_.SubmitRecvMultishot(fd, kReceive, {start + 10 * kMillisecond, kTimeout});
  world_.After(std::chrono::milliseconds(9), [&] { peer_->PeerSend("x"); });
  const std::vector<Completion> completions = Turn(2);
  ASSERT_EQ(completions.size(), 2u);
  EXPECT_EQ(completions[0].result, 1);
  EXPECT_EQ(completions[1].result, -ECANCELED);
  EXPECT_NEAR(static_cast<double>(ring_.Now() - start), 10.0 * kMillisecond, kMillisecond / 10);
}

TEST_F(SimulatedRingTest, MovesALinkedTimeoutOnlyWhileItIsArmed) {
  const int fd = Connect();
  const TimePoint start = ring_.Now();
  ring_.SubmitRecvMultishot(fd, kReceive, {start + 500 * kMillisecond, kTimeout});
  ring_.SubmitUpdateLinkedTimeout(kTimeout, start + 20 * kMillisecond, kOther);
  std::vector<Completion> completions = Turn(2);
  ASSERT_EQ(completions.size(), 2u);
  EXPECT_EQ(completions[0].user_data, kOther);
  EXPECT_EQ(completions[0].result, 0);
  EXPECT_EQ(completions[1].result, -ECANCELED);
  EXPECT_LT(ring_.Now(), start + 30 * kMillisecond);
  ring_.SubmitUpdateLinkedTimeout(kTimeout, start, kOther);
  completions = Turn();
  ASSERT_EQ(completions.size(), 1u);
  EXPECT_EQ(completions[0].result, -ENOENT);
}

TEST_F(SimulatedRingTest, EndsAStuckSendAtItsDeadlineOrWithItsFirstProgress) {
  const int fd = Connect({.to_peer_bytes = 10});
  const std::string bytes(30, 'x');
  ring_.SubmitSend(fd, bytes.data(), bytes.size(), kSend);
  EXPECT_EQ(Turn()[0].result, 10);
  ring_.SubmitSend(fd, bytes.data(), 20, kSend);
  EXPECT_EQ(Turn()[0].result, -EAGAIN);
  ring_.SubmitSendStuck(fd, bytes.data(), 20, kSend, {ring_.Now() + kMillisecond, kTimeout});
  EXPECT_EQ(Turn()[0].result, -ECANCELED);
  ring_.SubmitSendStuck(fd, bytes.data(), 20, kSend, {ring_.Now() + 5 * kMillisecond, kTimeout});
  world_.After(std::chrono::milliseconds(1), [&] { EXPECT_EQ(peer_->PeerRead(7).size(), 7u); });
  EXPECT_EQ(Turn()[0].result, 7);
}

TEST_F(SimulatedRingTest, TellsEachOperationOfAResetOnce) {
  const int fd = Connect();
  ring_.SubmitRecvMultishot(fd, kReceive, {});
  peer_->PeerReset();
  EXPECT_EQ(Turn()[0].result, -ECONNRESET);
  ring_.SubmitSend(fd, "x", 1, kSend);
  EXPECT_EQ(Turn()[0].result, -EPIPE);
  ring_.SubmitRecvMultishot(fd, kReceive, {});
  EXPECT_EQ(Turn()[0].result, 0);
}

TEST_F(SimulatedRingTest, KeepsConnectionsQueuedWhenDescriptorsRunOut) {
  ring_.set_descriptors_max(1);
  const int fd = Connect();
  EXPECT_NE(ring_.ConnectPeer(listener_, {}), nullptr);
  EXPECT_EQ(Turn()[0].result, -EMFILE);
  EXPECT_EQ(ring_.BacklogOf(listener_), 1u);
  ring_.SubmitClose(fd, kOther);
  EXPECT_EQ(Turn()[0].result, 0);
  EXPECT_TRUE(peer_->peer_sees_end());
  ring_.SubmitAcceptMultishot(listener_, kAccept);
  // The number is free again, and the kernel gives the lowest one.
  EXPECT_EQ(Turn()[0].result, fd);
}

TEST_F(SimulatedRingTest, CancelsEverythingOnADescriptor) {
  const int fd = Connect({.to_peer_bytes = 1});
  ring_.SubmitRecvMultishot(fd, kReceive, {});
  ring_.SubmitSend(fd, "x", 1, kSend);
  EXPECT_EQ(Turn()[0].result, 1);
  ring_.SubmitSendStuck(fd, "y", 1, kSend, {});
  EXPECT_TRUE(Turn(0).empty());
  ring_.SubmitCancelFd(fd, kOther);
  int canceled = 0;
  for (const Completion& completion : Turn(3)) {
    if (completion.user_data == kReceive) canceled += completion.result == -ECANCELED;
    if (completion.user_data == kSend) canceled += completion.result == -ECANCELED;
    if (completion.user_data == kOther) canceled += completion.result == 2;
  }
  EXPECT_EQ(canceled, 3);
}

TEST_F(SimulatedRingTest, EndsAnArmedReceiveOnShutdown) {
  const int fd = Connect();
  ring_.SubmitRecvMultishot(fd, kReceive, {});
  Turn(0);
  ring_.Shutdown(fd, SHUT_RDWR);
  EXPECT_EQ(Turn()[0].result, 0);
  EXPECT_TRUE(peer_->peer_sees_end());
}

TEST_F(SimulatedRingTest, AnswersACloseWithUnreadInputByAReset) {
  const int fd = Connect();
  peer_->PeerSend("unread");
  ring_.SubmitClose(fd, kOther);
  Turn();
  EXPECT_TRUE(peer_->peer_sees_reset());
}

TEST_F(SimulatedRingTest, ConnectsIsRefusedAndTimesOutAsPlanned) {
  SimulatedRing::ConnectPlan plan;
  ring_.set_connect_hook([&](const sockaddr*, socklen_t) { return plan; });
  const sockaddr address = {};
  plan.stream = std::make_shared<SimulatedStream>(world_, SimulatedStream::Room());
  // Numbers no open file has: they are never closed here.
  ring_.SubmitConnect(900'001, &address, sizeof(address), kOther, {});
  EXPECT_EQ(Turn()[0].result, 0);
  plan = {-ECONNREFUSED, kMillisecond, nullptr};
  ring_.SubmitConnect(900'002, &address, sizeof(address), kOther, {});
  EXPECT_EQ(Turn()[0].result, -ECONNREFUSED);
  plan.delay = kNever;
  ring_.SubmitConnect(900'003, &address, sizeof(address), kOther,
                      {ring_.Now() + kMillisecond, kTimeout});
  EXPECT_EQ(Turn()[0].result, -ECANCELED);
}

using SimulatedRingDeathTest = SimulatedRingTest;

TEST_F(SimulatedRingDeathTest, SeesACloseWithAnOperationInFlight) {
  const int fd = Connect();
  ring_.SubmitRecvMultishot(fd, kReceive, {});
  EXPECT_DEATH(ring_.SubmitClose(fd, kOther), "seed=7 .*in flight");
}

TEST_F(SimulatedRingDeathTest, SeesASecondCloseAndAnyUseAfterIt) {
  const int fd = Connect();
  ring_.SubmitClose(fd, kOther);
  Turn();
  EXPECT_DEATH(ring_.SubmitClose(fd, kOther), "is closed");
  EXPECT_DEATH(ring_.SubmitSend(fd, "x", 1, kSend), "is closed");
  EXPECT_DEATH(ring_.Shutdown(fd, SHUT_WR), "is closed");
}

TEST_F(SimulatedRingDeathTest, SeesASecondSendInFlight) {
  const int fd = Connect();
  ring_.SubmitSend(fd, "x", 1, kSend);
  EXPECT_DEATH(ring_.SubmitSend(fd, "x", 1, kOther), "second send");
}

TEST_F(SimulatedRingDeathTest, SeesMemoryOfASendChangeBeforeItsCompletion) {
  const int fd = Connect();
  std::string bytes = "unchanged";
  ring_.SubmitSend(fd, bytes.data(), bytes.size(), kSend);
  bytes[0] = 'X';
  EXPECT_DEATH(Turn(), "memory of a send was changed");
}

TEST_F(SimulatedRingDeathTest, SeesABufferReturnedTwice) {
  const int fd = Connect();
  ring_.SubmitRecvMultishot(fd, kReceive, {});
  peer_->PeerSend("x");
  const Completion completion = Turn()[0];
  ring_.BufferOf(completion);
  ring_.ReturnBuffer(completion.buffer_id());
  EXPECT_DEATH(ring_.ReturnBuffer(completion.buffer_id()), "returned twice");
}

TEST_F(SimulatedRingDeathTest, SeesUserDataUsedTwice) {
  const int fd = Connect();
  ring_.SubmitRecvMultishot(fd, kReceive, {});
  EXPECT_DEATH(ring_.SubmitSend(fd, "x", 1, kReceive), "in use");
}

TEST_F(SimulatedRingDeathTest, SeesAnEngineThatWaitsForNothing) {
  Ring::Wait wait;
  EXPECT_DEATH(ring_.SubmitAndWait(wait), "nothing can ever complete");
}

// A miniature engine: echoes one connection through every fault and closes it as the design says.
TEST(SimulatedRing, EchoesEverythingInOrderThroughEveryFault) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed, Faults::Some());
    SimulatedRing ring(world, {.buffer_count = 3, .buffer_bytes = 32});
    const int listener = ring.AddListener(4);
    auto peer = ring.ConnectPeer(listener, {.to_engine_bytes = 100, .to_peer_bytes = 50});
    std::string to_send;
    for (uint64_t i = world.random.Between(1, 2000); i > 0; --i) {
      to_send.push_back(static_cast<char>(world.random.Next()));
    }
    std::string echoed;
    size_t sent = 0;
    std::function<void()> act = [&] {
      sent += peer->PeerSend(std::string_view(to_send).substr(sent));
      if (sent == to_send.size()) peer->PeerFinish();
      echoed += peer->PeerRead(world.random.Between(1, 60));
      if (!peer->peer_sees_end()) world.After(std::chrono::microseconds(50), act);
    };
    act();

    int fd = -1;
    bool ended = false, closed = false, sending = false, stuck = false;
    std::string queue;
    ring.SubmitAcceptMultishot(listener, kAccept);
    while (!closed) {
      ring.SubmitAndWait({});
      Completion completions[4];
      const size_t count = ring.Reap(completions);
      for (size_t i = 0; i < count; ++i) {
        const Completion& completion = completions[i];
        if (completion.user_data == kAccept && completion.result > 0) {
          fd = completion.result;
          ring.SubmitRecvMultishot(fd, kReceive, {});
        } else if (completion.user_data == kAccept && fd < 0) {
          ring.SubmitAcceptMultishot(listener, kAccept);
        } else if (completion.user_data == kReceive) {
          // Never more than the peer sends, so the bytes of a send in flight do not move.
          queue.reserve(2000);
          if (completion.has_buffer()) {
            const std::span<char> bytes = ring.BufferOf(completion);
            queue.append(bytes.data(), bytes.size());
            ring.ReturnBuffer(completion.buffer_id());
          }
          if (completion.result == 0) ended = true;
          if (!completion.more() && !ended) ring.SubmitRecvMultishot(fd, kReceive, {});
        } else if (completion.user_data == kSend) {
          sending = false;
          stuck = completion.result == -EAGAIN;
          if (completion.result > 0) queue.erase(0, static_cast<size_t>(completion.result));
        } else if (completion.user_data == kOther) {
          closed = true;
        }
      }
      if (!sending && !queue.empty()) {
        sending = true;
        if (stuck) {
          ring.SubmitSendStuck(fd, queue.data(), queue.size(), kSend, {});
        } else {
          ring.SubmitSend(fd, queue.data(), queue.size(), kSend);
        }
      } else if (ended && !sending && !closed && queue.empty() && fd >= 0) {
        ring.SubmitClose(fd, kOther);
        fd = -2;
      }
    }
    while (peer->peer_readable() > 0) echoed += peer->PeerRead(1000);
    EXPECT_EQ(echoed, to_send);
    EXPECT_TRUE(peer->peer_sees_end());
    EXPECT_EQ(ring.BuffersAtHome(), ring.BufferCount());
  }
}

}  // namespace
}  // namespace ringmaster::simulation
