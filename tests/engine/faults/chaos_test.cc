// Thousands of connections of every kind, opened and closed at random by another process, while the
// ring fails in every way it can and memory runs out now and then. When the faults stop, everything
// comes to its end and nothing is left: no connection, no descriptor, no buffer, no memory.
//
//   chaos_test                      3,000 connections in 8 seconds, twice, the standing seed
//   chaos_test --seed=N --connections=N --seconds=N
//   chaos_test --seed=random        another one, which is printed

#include <dirent.h>
#include <malloc.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <string_view>

#include "engine/base/log.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "protocols/websocket/service/websocket_counters.h"
#include "tests/engine/faults/chaos_client.h"
#include "tests/engine/faults/chaos_server.h"

namespace ringmaster::faults {
namespace {

uint64_t seed = 1;
uint32_t connection_count = 3'000;
uint32_t seconds = 8;
int client_control = -1;

// A sanitizer keeps freed memory in quarantine; what it finds is leaks and misuse.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RINGMASTER_MEMORY_IS_ITS_OWN 0
#endif
#endif
#ifndef RINGMASTER_MEMORY_IS_ITS_OWN
#define RINGMASTER_MEMORY_IS_ITS_OWN 1
#endif

constexpr uint64_t kListGrowthBytes = 64 * 1024;

struct Usage {
  uint64_t resident_bytes = 0;   // counted page by page: VmRSS may be half a megabyte off
  uint64_t allocated_bytes = 0;  // by malloc, not yet freed
  int descriptors = 0;
};

int CountDescriptors() {
  int count = 0;
  DIR* const directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

// At rest, as after a fall from many connections (engine/worker/trim_memory.cc): what is kept for
// the next ones, up to 128 send queues, depends on the worst moment and not on what was lost.
Usage MeasureUsage(ChaosServer& server) {
  server.InWorker([](Worker& worker, FaultRing&) { worker.send_queues().Trim(); });
  malloc_trim(0);
  Usage usage;
  std::ifstream rollup("/proc/self/smaps_rollup");
  for (std::string line; std::getline(rollup, line);) {
    if (line.starts_with("Rss:")) usage.resident_bytes = std::stoull(line.substr(4)) * 1024;
  }
  const struct mallinfo2 heap = mallinfo2();
  usage.allocated_bytes = heap.uordblks + heap.hblkhd;
  usage.descriptors = CountDescriptors();
  return usage;
}

std::string Kilobytes(uint64_t bytes) { return fmt::format("{} KB", bytes / 1024); }

class Chaos : public testing::Test {
 protected:
  // A round of connections under faults; then the faults stop and everything has to end.
  ChaosTally PlayRound(ChaosServer& server, uint64_t round_seed, uint32_t connections,
                       uint32_t milliseconds) {
    server.SetFaults(true);
    const ChaosRound round{round_seed, connections, milliseconds, server.ports()};
    EXPECT_EQ(send(client_control, &round, sizeof(round), MSG_NOSIGNAL),
              static_cast<ssize_t>(sizeof(round)));
    ChaosTally tally;
    EXPECT_EQ(recv(client_control, &tally, sizeof(tally), MSG_WAITALL),
              static_cast<ssize_t>(sizeof(tally)))
        << "the client died";
    server.SetFaults(false);
    EXPECT_TRUE(server.AwaitNothingOpen())
        << server.counters().connections_open.Get() << " connections do not end";
    return tally;
  }

  static void Print(const ChaosTally& tally) {
    fmt::print("{:<14}{:>8}{:>10}{:>11}{:>7}{:>9}\n", "", "begun", "complete", "cut short", "wrong",
               "hanging");
    for (int i = 0; i < kBehaviourCount; ++i) {
      const ChaosTally::Count& count = tally.of[static_cast<size_t>(i)];
      fmt::print("{:<14}{:>8}{:>10}{:>11}{:>7}{:>9}\n", kBehaviourNames[static_cast<size_t>(i)],
                 count.begun, count.complete, count.cut_short, count.wrong, count.left_hanging);
    }
  }

  static void PrintFaults(ChaosServer& server) {
    server.InWorker([&](Worker&, FaultRing& ring) {
      fmt::print("faults:");
      for (int i = 0; i < kFaultCount; ++i) {
        const uint64_t count = ring.count(static_cast<Fault>(i));
        fmt::print(" {} {}", kFaultNames[static_cast<size_t>(i)], count);
        EXPECT_GT(count, 0u) << kFaultNames[static_cast<size_t>(i)] << " never came";
      }
      fmt::print(" allocations {}\n", server.allocations_failed());
    });
  }

  static void ExpectBalance(ChaosServer& server) {
    const WorkerCounters& counters = server.counters();
    uint64_t closed_for_reasons = 0;
    fmt::print("closed for:");
    for (int i = 0; i < kCloseReasonCount; ++i) {
      const uint64_t count = counters.closed_by_reason[i].Get();
      closed_for_reasons += count;
      if (count > 0) fmt::print(" {} {}", CloseReasonName(static_cast<CloseReason>(i)), count);
    }
    fmt::print(
        "\naccepted {}, outbound {}, closed {}, refused for memory {}; accept paused {}, receive "
        "starved {}, sends without memory {}, stuck {}, CQ overflows {}, SQ full {}\n",
        counters.connections_accepted.Get(), server.outbound_count(),
        counters.connections_closed.Get(), counters.refused_no_memory.Get(),
        counters.accept_paused_descriptors.Get(), counters.receive_starved.Get(),
        counters.send_no_memory.Get(), counters.send_stuck.Get(), counters.ring_overflows.Get(),
        counters.ring_submissions_full.Get());
    EXPECT_EQ(counters.connections_open.Get(), 0u);
    EXPECT_EQ(counters.connections_accepted.Get() + server.outbound_count(),
              counters.connections_closed.Get());
    EXPECT_EQ(closed_for_reasons, counters.connections_closed.Get());
    EXPECT_EQ(counters.closed_by_reason[0].Get(), 0u) << "closed for no reason";
    EXPECT_EQ(counters.protocol[websocket::WebSocketCounters::Get().open].Get(), 0u);
    EXPECT_GT(counters.protocol[websocket::WebSocketCounters::Get().accepted].Get(), 0u);
    EXPECT_GT(counters.ring_submissions_full.Get(), 0u);
    server.InWorker([](Worker& worker, FaultRing& ring) {
      EXPECT_EQ(worker.connection_count(), 0u);
      EXPECT_EQ(ring.BuffersAtHome(), ring.BufferCount());
    });
  }
};

TEST_F(Chaos, LeavesNothingBehind) {
  fmt::print("--seed={} --connections={} --seconds={}\n", seed, connection_count, seconds);
  std::fflush(stdout);
  const int descriptors_before = CountDescriptors();
  {
    ChaosServer server({seed, /*no_memory_chance=*/0.003});
    // Of the same kind and length, so that everything that grows once has grown: how many are there
    // at once depends on how long the slowest of them take.
    PlayRound(server, seed ^ 0x5eed, connection_count, seconds * 1000);
    const Usage before = MeasureUsage(server);
    const ChaosTally tally = PlayRound(server, seed, connection_count, seconds * 1000);
    const Usage after = MeasureUsage(server);

    Print(tally);
    PrintFaults(server);
    ExpectBalance(server);
    uint64_t complete = 0;
    for (int i = 0; i < kBehaviourCount; ++i) {
      const ChaosTally::Count& count = tally.of[static_cast<size_t>(i)];
      complete += count.complete;
      EXPECT_EQ(count.wrong, 0u) << kBehaviourNames[static_cast<size_t>(i)];
      EXPECT_EQ(count.left_hanging, 0u) << kBehaviourNames[static_cast<size_t>(i)];
    }
    // Most, on a machine that has time: one that has not lets them run into the timeouts.
    EXPECT_GT(complete, connection_count / 4);
    EXPECT_EQ(after.descriptors, before.descriptors);
    fmt::print("resident {} before, {} after; allocated {} before, {} after\n",
               Kilobytes(before.resident_bytes), Kilobytes(after.resident_bytes),
               Kilobytes(before.allocated_bytes), Kilobytes(after.allocated_bytes));
    if (RINGMASTER_MEMORY_IS_ITS_OWN) {
      EXPECT_LE(after.resident_bytes, before.resident_bytes + before.resident_bytes / 20);
      // Lists keep the room that their worst moment needed; an object of 32 bytes for every ten
      // connections of the long run would be more than this.
      EXPECT_LE(after.allocated_bytes, before.allocated_bytes + kListGrowthBytes);
    }
  }
  EXPECT_EQ(CountDescriptors(), descriptors_before);
}

bool ParseNumber(std::string_view text, auto& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value > 0;
}

bool ParseFlags(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--seed=random") {
      seed = std::random_device()();
    } else if (argument.starts_with("--seed=")) {
      if (!ParseNumber(argument.substr(7), seed)) return false;
    } else if (argument.starts_with("--connections=")) {
      if (!ParseNumber(argument.substr(14), connection_count)) return false;
    } else if (argument.starts_with("--seconds=")) {
      if (!ParseNumber(argument.substr(10), seconds)) return false;
    } else {
      return false;
    }
  }
  return true;
}

// The client is a process of its own, so that what this one uses is the server's. Made first, while
// there is no thread.
pid_t ForkClient() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    RunChaosClient(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  client_control = ends[0];
  return child;
}

}  // namespace
}  // namespace ringmaster::faults

int main(int argc, char** argv) {
  using namespace ringmaster::faults;
  // The worker, a thread here, allocates where a worker process does: malloc_trim leaves the top of
  // any other arena.
  mallopt(M_ARENA_MAX, 1);
  testing::InitGoogleTest(&argc, argv);
  if (!ParseFlags(argc, argv)) {
    std::fprintf(stderr, "usage: %s [--seed=N|random] [--connections=N] [--seconds=N]\n", argv[0]);
    return 2;
  }
  // Faults make the engine warn a great deal, as it should.
  if (!ringmaster::log::Setup("off", "text", "", "chaos").ok()) return 1;
  const pid_t client = ForkClient();
  if (client < 0) return 1;
  const int status = RUN_ALL_TESTS();
  close(client_control);
  waitpid(client, nullptr, 0);
  return status;
}
