// One allocation after the other fails, each in a run of its own: whatever it was for, it costs at
// most the connection that needed it. The worker lives, serves the others and stops as it should.

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "tests/engine/faults/worker_fixture.h"

namespace ringmaster::faults {
namespace {

using namespace std::chrono_literals;

// More allocations than these runs make; a sweep that gets here no longer ends by itself.
constexpr uint64_t kAllocationsMax = 1000;

class NoMemory : public WorkerUnderFaults {
 protected:
  NoMemory() {
    ring_options_.sq_entries = 64;
    ring_options_.cq_entries = 256;
    ring_options_.buffer_count = 8;
    // Every first send finds no room, so that leases are copied out and sends wait.
    rates_[Fault::kSendWouldBlock] = 1;
    stream_.timeouts.lifetime = 60s;
    lines_.on_message = [this](Lines::Peer& peer, std::string_view line) { Answer(peer, line); };
    outbound_lines_.on_open = [](Lines::Peer& peer) { peer.Send(std::string_view("ping")); };
    outbound_lines_.on_message = [](Lines::Peer& peer, std::string_view) { peer.Close(); };
    file_ = mkstemp(path_);
    EXPECT_EQ(write(file_, content_.data(), content_.size()),
              static_cast<ssize_t>(content_.size()));
  }
  ~NoMemory() override {
    close(file_);
    unlink(path_);
  }

  void Answer(Lines::Peer& peer, std::string_view line) {
    Connection& connection = peer.connection();
    if (line == "file") {
      connection.SendFile(open(path_, O_RDONLY | O_CLOEXEC), 0, content_.size());
    } else if (line == "shared") {
      connection.SendShared(content_, std::make_shared<int>(0));
    } else if (line == "pause") {
      connection.PauseReceive();
      connection.worker().AddTimer(1ms, {}, [worker = worker_, id = connection.id()] {
        if (Connection* found = worker->Find(id)) found->ResumeReceive();
      });
    } else if (line.size() > 8'000) {
      connection.SendMessage(">", line, /*front_is_consumed=*/false);
      connection.SendMessage("+", line, /*front_is_consumed=*/false);
    } else {
      peer.Send(line);
    }
  }

  // Asks on a connection of its own. An answer that ends early costs that connection; one that is
  // wrong, or a connection that is left hanging, costs the test.
  void Ask(uint16_t port, std::string_view first, std::string_view rest,
           const std::string& expected) {
    const int fd = ConnectTo(port);
    SendAll(fd, first);
    if (!rest.empty()) {
      // So that the two arrive apart: the worker has seen the first.
      InWorker([] {});
      SendAll(fd, rest);
    }
    shutdown(fd, SHUT_WR);
    const std::string answer = ReadToEnd(fd);
    close(fd);
    EXPECT_TRUE(expected.starts_with(answer)) << first.substr(0, 20) << ": " << answer.size();
    costs_ += answer != expected;
  }

  void AskEverything(uint16_t port) {
    Ask(port, "one\n", {}, "one\n");
    Ask(port, "a line in ", "two parts\n", "a line in two parts\n");
    Ask(port, std::string(6000, 'a'), std::string(60'000, 'a') + "\n", LargeAnswer(66'000));
    Ask(port, std::string(9000, 'l') + "\n", {}, LargeAnswer(9000, 'l'));
    Ask(port, "file\n", {}, content_);
    Ask(port, "shared\nshared\n", {}, content_ + content_);
    Ask(port, "pause\nbehind\n", {}, "behind\n");
  }

  static std::string LargeAnswer(size_t bytes, char c = 'a') {
    const std::string line(bytes, c);
    return ">" + line + "+" + line;
  }

  void ConnectOutbound(uint16_t port) {
    const auto address = Address::Parse("127.0.0.1:" + std::to_string(port));
    outbound_count_ = 0;
    try {
      outbound_count_ = worker_->Connect(*address, outbound_lines_, stream_).ok();
    } catch (const std::bad_alloc&) {
      // The caller's affair.
    }
  }

  char path_[32] = "/tmp/ringmaster-file-XXXXXX";
  int file_ = -1;
  const std::string content_ = std::string(50'000, 'f');
  Lines outbound_lines_;
  int costs_ = 0;
};

TEST_F(NoMemory, AnywhereWhileServingCostsAtMostOneConnection) {
  uint64_t n = 0;
  uint64_t seen = 0;
  uint64_t failed = 0;
  do {
    ++n;
    costs_ = 0;
    Run([&](uint16_t port) {
      InWorker([&] { MemoryFaults::FailNth(n); });
      InWorker([&] { ConnectOutbound(port); });
      AskEverything(port);
      InWorker([&] {
        seen = MemoryFaults::seen_count();
        failed += MemoryFaults::failed_count();
        MemoryFaults::Stop();
      });
      EXPECT_LE(costs_, 1) << "allocation " << n;
      costs_ = 0;
      AskEverything(port);
      EXPECT_EQ(costs_, 0) << "after allocation " << n;
    });
    ASSERT_FALSE(HasFailure()) << "allocation " << n << " of " << seen;
  } while (seen >= n && n < kAllocationsMax);
  EXPECT_LT(n, kAllocationsMax);
  std::printf("%d allocations, each failed once\n", static_cast<int>(failed));
  EXPECT_GT(failed, 20u);
}

TEST_F(NoMemory, AnywhereWhileStoppingDoesNotKeepTheWorkerFromIt) {
  uint64_t n = 0;
  uint64_t seen = 0;
  do {
    ++n;
    int idle = -1;
    Run([&](uint16_t port) {
      idle = ConnectTo(port);
      SendAll(idle, "x\n");
      EXPECT_EQ(ReadBytes(idle, 2), "x\n");
      const int fresh = ConnectTo(port);
      InWorker([&] {
        MemoryFaults::FailNth(n);
        worker_->Stop();
        seen = MemoryFaults::seen_count();
      });
      EXPECT_EQ(ReadToEnd(idle), "");
      EXPECT_EQ(ReadToEnd(fresh), "");
      close(fresh);
    });
    close(idle);
    ASSERT_FALSE(HasFailure()) << "allocation " << n;
  } while (seen >= n && n < kAllocationsMax);
  EXPECT_LT(n, kAllocationsMax);
  EXPECT_GT(n, 2u);
}

}  // namespace
}  // namespace ringmaster::faults
