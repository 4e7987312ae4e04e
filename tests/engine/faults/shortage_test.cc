// What a machine runs out of, one thing at a time: each is survived, counted, and recovered from
// without help. The real kernel refuses where it can be made to; FaultRing and MemoryFaults do
// where it cannot.

#include <sys/resource.h>

#include <string>
#include <vector>

#include "tests/engine/faults/worker_fixture.h"

namespace ringmaster::faults {
namespace {

using namespace std::chrono_literals;

class Shortage : public WorkerUnderFaults {};

// The kernel reads the limit when the accept is armed: it is low at that moment and for the accept
// alone, since a sanitizer needs descriptors to look at an object.
TEST_F(Shortage, OfDescriptorsPausesAcceptingUntilTheLimitIsRaised) {
  constexpr rlim_t kLow = 48;
  rlimit before = {};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit low = before;
  low.rlim_cur = kLow;
  setrlimit(RLIMIT_NOFILE, &low);
  Run([&](uint16_t port) {
    InWorker([] {});  // the accept is armed
    setrlimit(RLIMIT_NOFILE, &before);
    std::vector<int> clients;
    for (rlim_t i = 0; i < kLow; ++i) clients.push_back(ConnectTo(port));
    EXPECT_GE(clients.back(), static_cast<int>(kLow));
    for (const int fd : clients) {
      SendAll(fd, "x\n");
      EXPECT_EQ(ReadBytes(fd, 2), "x\n");
      close(fd);
    }
  });
  EXPECT_GE(counters_->accept_paused_descriptors.Get(), 1u);
  EXPECT_EQ(counters_->connections_accepted.Get(), kLow);
}

TEST_F(Shortage, OfReceiveBuffersMakesConnectionsWaitAndLosesNothing) {
  ring_options_.buffer_count = 2;
  ring_options_.buffer_bytes = 512;
  Run([](uint16_t port) {
    std::vector<int> clients;
    for (int i = 0; i < 64; ++i) clients.push_back(ConnectTo(port));
    const std::string line = std::string(20'000, 'x') + "\n";
    for (const int fd : clients) SendAll(fd, line);
    for (const int fd : clients) {
      EXPECT_EQ(ReadBytes(fd, line.size()), line);
      close(fd);
    }
  });
  EXPECT_GE(counters_->receive_starved.Get(), 1u);
  EXPECT_EQ(counters_->connections_accepted.Get(), 64u);
}

// The smallest ring there is: every turn has more operations than the queue has places, and half of
// them are pairs. A pair that straddled two submissions would leave a timeout without its receive
// (-EINVAL, a completion that the worker refuses to know) and a receive without its timeout.
TEST_F(Shortage, OfSubmissionQueueEntriesSubmitsEarlyAndKeepsPairsTogether) {
  ring_options_.sq_entries = 3 + 1;
  ring_options_.cq_entries = 64;
  stream_.timeouts.read = 300ms;
  constexpr int kClients = 100;
  Run([](uint16_t port) {
    std::vector<int> clients;
    for (int i = 0; i < kClients; ++i) clients.push_back(ConnectTo(port));
    for (const int fd : clients) SendAll(fd, "x\n");
    for (const int fd : clients) EXPECT_EQ(ReadBytes(fd, 2), "x\n");
    // Each of them still has its timeout.
    for (const int fd : clients) {
      EXPECT_EQ(ReadToEnd(fd), "");
      close(fd);
    }
  });
  EXPECT_GE(counters_->ring_submissions_full.Get(), 1u);
  EXPECT_EQ(ClosedFor(CloseReason::kReadTimeout), uint64_t{kClients});
}

TEST_F(Shortage, OfCompletionQueueEntriesIsCountedAndLosesNoCompletion) {
  ring_options_.sq_entries = 8;
  ring_options_.cq_entries = 8;
  constexpr int kClients = 300;
  Run([this](uint16_t port) {
    std::vector<int> clients;
    for (int i = 0; i < kClients; ++i) clients.push_back(ConnectTo(port));
    for (int round = 0; round < 5; ++round) {
      // The worker is kept busy while everybody speaks: all completions come at once.
      std::atomic<bool> spoken = false;
      worker_->Post([&] {
        while (!spoken) std::this_thread::yield();
      });
      for (const int fd : clients) SendAll(fd, "x\n");
      spoken = true;
      for (const int fd : clients) EXPECT_EQ(ReadBytes(fd, 2), "x\n");
    }
    for (const int fd : clients) close(fd);
    AwaitClosed(kClients);
  });
  EXPECT_GE(counters_->ring_overflows.Get(), 1u);
  EXPECT_EQ(counters_->connections_accepted.Get(), uint64_t{kClients});
  EXPECT_EQ(ClosedFor(CloseReason::kPeerClosed), uint64_t{kClients});
}

TEST_F(Shortage, OfMemoryAtTheDoorClosesThatConnectionOnly) {
  Run([this](uint16_t port) {
    InWorker([] { MemoryFaults::FailMappings(); });
    for (int i = 0; i < 5; ++i) {
      const int fd = ConnectTo(port);
      EXPECT_EQ(ReadToEnd(fd), "");
      close(fd);
    }
    EXPECT_EQ(counters_->refused_no_memory.Get(), 5u);
    EXPECT_EQ(counters_->connections_accepted.Get(), 0u);
    InWorker([] { MemoryFaults::Stop(); });
    const int fd = ConnectTo(port);
    SendAll(fd, "x\n");
    EXPECT_EQ(ReadBytes(fd, 2), "x\n");
    close(fd);
  });
  EXPECT_EQ(counters_->connections_accepted.Get(), 1u);
}

// A full slab asks for its second chunk while 256 connections live: they do not notice.
TEST_F(Shortage, OfMemoryForMoreConnectionsLeavesTheOthersAlone) {
  Run([this](uint16_t port) {
    std::vector<int> clients;
    for (int i = 0; i < 256; ++i) clients.push_back(ConnectTo(port));
    for (const int fd : clients) {
      SendAll(fd, "x\n");
      EXPECT_EQ(ReadBytes(fd, 2), "x\n");
    }
    InWorker([] { MemoryFaults::FailMappings(); });
    const int refused = ConnectTo(port);
    EXPECT_EQ(ReadToEnd(refused), "");
    close(refused);
    for (const int fd : clients) {
      SendAll(fd, "y\n");
      EXPECT_EQ(ReadBytes(fd, 2), "y\n");
      close(fd);
    }
    InWorker([] { MemoryFaults::Stop(); });
  });
  EXPECT_EQ(counters_->refused_no_memory.Get(), 1u);
}

// A send that the kernel had no memory for was once submitted again as a stuck one, that is, when
// the socket becomes writable. It was writable all the time: the worker span at full speed, and
// because each try brought a fresh write timeout, it would have done so for ever.
TEST_F(Shortage, OfKernelMemoryForSendsDoesNotSpinAndEndsAtTheWriteTimeout) {
  rates_[Fault::kSendNoMemory] = 1;
  stream_.timeouts.write = 200ms;
  std::chrono::steady_clock::duration lasted;
  Run([&](uint16_t port) {
    const int fd = ConnectTo(port);
    const auto begin = std::chrono::steady_clock::now();
    SendAll(fd, "x\n");
    EXPECT_EQ(ReadToEnd(fd), "");
    lasted = std::chrono::steady_clock::now() - begin;
    close(fd);
  });
  EXPECT_EQ(ClosedFor(CloseReason::kWriteTimeout), 1u);
  EXPECT_GE(lasted, 200ms);
  EXPECT_GE(counters_->send_no_memory.Get(), 2u);
  // One try per 20 ms, a few turns each.
  EXPECT_LE(counters_->send_no_memory.Get(), 12u);
  EXPECT_LE(counters_->loop_turns.Get(), 100u);
}

TEST_F(Shortage, OfKernelMemoryForSendsNowAndThenLosesNothing) {
  rates_[Fault::kSendNoMemory] = 0.3;
  Run([](uint16_t port) {
    const int fd = ConnectTo(port);
    std::string sent;
    for (int i = 0; i < 3000; ++i) sent += "line " + std::to_string(i) + "\n";
    for (int round = 0; round < 10; ++round) {
      SendAll(fd, sent);
      EXPECT_EQ(ReadBytes(fd, sent.size()), sent);
    }
    // Also what is queued when the connection closes.
    SendAll(fd, sent);
    shutdown(fd, SHUT_WR);
    EXPECT_EQ(ReadToEnd(fd), sent);
    close(fd);
  });
  EXPECT_GE(counters_->send_no_memory.Get(), 1u);
  EXPECT_EQ(ClosedFor(CloseReason::kPeerClosed), 1u);
}

TEST_F(Shortage, OfEverythingALittleIsNotNoticedByAPatientClient) {
  rates_ = FaultRates::Some();
  ring_options_.sq_entries = 16;
  ring_options_.cq_entries = 16;
  ring_options_.buffer_count = 4;
  Run([this](uint16_t port) {
    for (int round = 0; round < 20; ++round) {
      std::vector<int> clients;
      for (int i = 0; i < 20; ++i) clients.push_back(ConnectTo(port));
      const std::string line = std::string(static_cast<size_t>(1 + round * 2000), 'x') + "\n";
      for (const int fd : clients) SendAll(fd, line);
      for (const int fd : clients) {
        EXPECT_EQ(ReadBytes(fd, line.size()), line);
        close(fd);
      }
    }
    AwaitClosed(400);
  });
  EXPECT_EQ(counters_->connections_accepted.Get(), 400u);
  EXPECT_EQ(ClosedFor(CloseReason::kPeerClosed), 400u);
}

}  // namespace
}  // namespace ringmaster::faults
