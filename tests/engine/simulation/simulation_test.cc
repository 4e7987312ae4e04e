#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string_view>

#include "engine/base/log.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/engine/simulation/episode.h"

// The real engine, a simulated kernel, peers drawn from a seed.
//
//   simulation_test                     100,000 connections from the standing seed
//   simulation_test --seed=random       the same from another one, which is printed
//   simulation_test --seed=N            one episode, the one that a failure named
//   simulation_test --seed=N --connections=M
//
// A failure ends the process and prints the seed of its episode.

namespace ringmaster::simulation {
namespace {

constexpr uint32_t kConnectionsPerEpisode = 100;

uint64_t first_seed = 1;
uint64_t connection_count = 100'000;

void Print(const Tally& tally, double seconds) {
  fmt::print("{} connections in {} episodes ({} stopped midway), {} turns, {:.1f} s\n",
             tally.connections, tally.episodes, tally.stopped_midway, tally.turns, seconds);
  fmt::print("all answers seen by {} peers; closed for:", tally.complete);
  for (int i = 0; i < kCloseReasonCount; ++i) {
    if (tally.by_reason[i] == 0) continue;
    fmt::print(" {} {}", CloseReasonName(static_cast<CloseReason>(i)), tally.by_reason[i]);
  }
  fmt::print(
      "\naccept paused {}, held at the door {}, refused {} (seen by {}), receives starved {}, "
      "receives paused {}, stuck sends {}, sends without memory {}, deadlines re-armed {}, stopped "
      "by force {}, paused for memory {}, turns without time for all {}, timeouts changed {}, "
      "moved {}, "
      "moves called off {}\n",
      tally.accept_paused, tally.accept_held, tally.refused, tally.refusals_seen,
      tally.receive_starved, tally.receive_paused, tally.send_stuck, tally.send_no_memory,
      tally.deadline_rearmed, tally.stopped_by_force, tally.paused_for_memory, tally.turns_crowded,
      tally.timeouts_set, tally.moved, tally.moves_called_off);
}

TEST(Simulation, KeepsEveryPromiseUnderEveryFault) {
  fmt::print("--seed={} --connections={}\n", first_seed, connection_count);
  std::fflush(stdout);
  const auto begin = std::chrono::steady_clock::now();
  Tally tally;
  while (tally.connections < connection_count) {
    Episode(first_seed + tally.episodes, kConnectionsPerEpisode).Run(tally);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  Print(tally, seconds.count());

  // A run of this size that did not reach one of these no longer tests it.
  if (connection_count < 10'000) return;
  for (const CloseReason reason :
       {CloseReason::kPeerClosed, CloseReason::kPeerReset, CloseReason::kLocal,
        CloseReason::kHandlerError, CloseReason::kHandshakeTimeout, CloseReason::kMessageTimeout,
        CloseReason::kReadTimeout, CloseReason::kWriteTimeout, CloseReason::kServerStopping,
        CloseReason::kConnectTimeout, CloseReason::kConnectFailed, CloseReason::kMemory,
        CloseReason::kKilled}) {
    EXPECT_GT(tally.by_reason[static_cast<int>(reason)], 0u) << CloseReasonName(reason);
  }
  EXPECT_GT(tally.accept_paused, 0u);
  EXPECT_GT(tally.accept_held, 0u);
  EXPECT_GT(tally.refused, 0u);
  EXPECT_GT(tally.refusals_seen, tally.refused / 2);
  EXPECT_GT(tally.receive_starved, 0u);
  EXPECT_GT(tally.receive_paused, 0u);
  EXPECT_GT(tally.send_stuck, 0u);
  EXPECT_GT(tally.send_no_memory, 0u);
  EXPECT_GT(tally.stopped_by_force, 0u);
  EXPECT_GT(tally.deadline_rearmed, 0u);
  EXPECT_GT(tally.paused_for_memory, 0u);
  EXPECT_GT(tally.turns_crowded, 0u);
  EXPECT_GT(tally.timeouts_set, 0u);
  EXPECT_GT(tally.moved, tally.connections / 10);
  EXPECT_GT(tally.moves_called_off, 0u);
  EXPECT_GT(tally.complete, tally.connections / 2);
}

bool ParseNumber(std::string_view text, uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParseFlags(int argc, char** argv) {
  bool seed_given = false;
  bool connections_given = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--seed=random") {
      first_seed = std::random_device()() * uint64_t{1'000'000};
    } else if (argument.starts_with("--seed=") && ParseNumber(argument.substr(7), first_seed)) {
      seed_given = true;
    } else if (argument.starts_with("--connections=") &&
               ParseNumber(argument.substr(14), connection_count)) {
      connections_given = true;
    } else {
      return false;
    }
  }
  if (seed_given && !connections_given) connection_count = kConnectionsPerEpisode;
  return true;
}

}  // namespace
}  // namespace ringmaster::simulation

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!ringmaster::simulation::ParseFlags(argc, argv)) {
    std::fprintf(stderr, "usage: %s [--seed=N|random] [--connections=N]\n", argv[0]);
    return 2;
  }
  // Faults make the engine warn a great deal, as it should.
  if (!ringmaster::log::Setup("off", "text", "", "simulation").ok()) return 1;
  return RUN_ALL_TESTS();
}
