#include "engine/stats/status_json.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include "engine/stats/figures.h"
#include "engine/stats/shared_status.h"

namespace ringmaster {
namespace {

const int kJsonGauge =
    CounterNames::Register("json_things_open", "things open now", FigureKind::kGauge);

std::unique_ptr<SharedBlock> BlockOfTwoWorkers() {
  absl::StatusOr<std::unique_ptr<SharedBlock>> block = SharedBlock::Create(2);
  EXPECT_TRUE(block.ok());
  (*block)->Describe("game", "2.1", {"127.0.0.1:80"});
  (*block)->slot(0).state.store(SlotState::kReady);
  WorkerCounters& first = (*block)->slot(0).counters;
  first.refused_address_max.Add(4);
  first.loop_turns.Add(100);
  first.ring_enters.Add(150);
  first.handler_time.Add(2'000, 99);
  first.protocol[kJsonGauge].Set(3);
  WorkerCounters& second = (*block)->slot(1).counters;
  second.refused_address_max.Add(1);
  second.refused_denied.Add(9);
  second.closed_by_reason[static_cast<int>(CloseReason::kReadTimeout)].Add(7);
  second.handler_time.Add(5'000'000);
  second.turn_time.Add(6'000'000);
  second.connections_open.Set(2);
  return std::move(*block);
}

TEST(StatusJson, HasGaugesCausesAndPercentilesOfEveryWorkerAndInTotal) {
  const std::string text = StatusJson(*BlockOfTwoWorkers(), MonotonicNow());
  simdjson::dom::parser parser;
  simdjson::dom::element json;
  ASSERT_EQ(parser.parse(text).get(json), simdjson::SUCCESS) << text;
  const simdjson::dom::element totals = json["totals"];
  EXPECT_EQ(uint64_t(totals["gauges"]["connections_open"]), 2u);
  EXPECT_EQ(uint64_t(totals["gauges"]["json_things_open"]), 3u);
  EXPECT_EQ(totals["gauges"]["connections_accepted"].error(), simdjson::NO_SUCH_FIELD);
  EXPECT_EQ(uint64_t(totals["refused"]["address_max"]), 5u);
  EXPECT_EQ(uint64_t(totals["refused"]["denied"]), 9u);
  EXPECT_EQ(totals["refused"]["server_max"].error(), simdjson::NO_SUCH_FIELD);
  EXPECT_EQ(uint64_t(totals["closed"]["read_timeout"]), 7u);
  EXPECT_DOUBLE_EQ(double(totals["enters_per_turn"]), 1.5);
  const simdjson::dom::element handler = totals["histograms"]["handler_time"];
  EXPECT_EQ(uint64_t(handler["count"]), 100u);
  EXPECT_NEAR(double(handler["p50_us"]), 2.0, 2.0 / 32);
  EXPECT_NEAR(double(handler["p99_us"]), 2.0, 2.0 / 32);
  EXPECT_DOUBLE_EQ(double(handler["p9999_us"]), 5000.0);
  EXPECT_DOUBLE_EQ(double(handler["max_us"]), 5000.0);
  const simdjson::dom::element worker = json["workers"].at(1);
  EXPECT_EQ(uint64_t(worker["refused"]["address_max"]), 1u);
  EXPECT_EQ(uint64_t(worker["histograms"]["turn_time"]["count"]), 1u);
  EXPECT_EQ(handler["buckets"].error(), simdjson::NO_SUCH_FIELD);
}

TEST(StatusSnapshot, ComesBackFromItsJsonWithTheSameFiguresAndPercentiles) {
  const StatusSnapshot written = StatusSnapshot::Take(*BlockOfTwoWorkers(), MonotonicNow());
  const absl::StatusOr<StatusSnapshot> read =
      StatusSnapshot::Parse(StatusJson(written, {.buckets = true}));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->name, "game");
  EXPECT_EQ(read->listeners, written.listeners);
  ASSERT_EQ(read->workers.size(), 2u);
  EXPECT_EQ(read->workers[0].state, "ready");
  for (size_t i = 0; i < 2; ++i) {
    const FiguresSnapshot& ours = written.workers[i].counted;
    const FiguresSnapshot& theirs = read->workers[i].counted;
    ASSERT_EQ(theirs.figures.entries().size(), ours.figures.entries().size());
    for (size_t k = 0; k < ours.figures.entries().size(); ++k) {
      const FigureSet::Entry& entry = ours.figures.entries()[k];
      EXPECT_EQ(theirs.figures.entries()[k].name, entry.name);
      EXPECT_EQ(theirs.figures.entries()[k].value, entry.value) << entry.name;
      EXPECT_EQ(theirs.figures.entries()[k].kind, entry.kind) << entry.name;
    }
    EXPECT_EQ(theirs.handler_time.buckets(), ours.handler_time.buckets());
    EXPECT_EQ(theirs.handler_time.sum(), ours.handler_time.sum());
    EXPECT_EQ(theirs.turn_time.max(), ours.turn_time.max());
  }
}

SandboxState Dropped() {
  SandboxState sandbox;
  sandbox.uid = 33;
  sandbox.gid = 34;
  sandbox.groups = {4, 34};
  sandbox.capabilities = 0x400;
  sandbox.bounding_capabilities = 0x1fffeffffff;
  sandbox.no_new_privs = true;
  sandbox.seccomp = SandboxState::Seccomp::kFilter;
  return sandbox;
}

TEST(StatusSnapshot, BringsBackWhatAWorkerMayDo) {
  StatusSnapshot written = StatusSnapshot::Take(*BlockOfTwoWorkers(), MonotonicNow());
  EXPECT_FALSE(written.workers[0].sandbox.has_value()) << "it has no process";
  written.workers[0].sandbox = Dropped();
  absl::StatusOr<StatusSnapshot> read = StatusSnapshot::Parse(StatusJson(written));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->workers[0].sandbox, written.workers[0].sandbox);
  EXPECT_FALSE(read->workers[1].sandbox.has_value());
  for (const auto seccomp :
       {std::optional<SandboxState::Seccomp>(), {SandboxState::Seccomp::kOff}}) {
    written.workers[0].sandbox->seccomp = seccomp;
    read = StatusSnapshot::Parse(StatusJson(written));
    EXPECT_EQ(read->workers[0].sandbox->seccomp, seccomp);
  }
}

TEST(StatusTable, SaysOnceWhatAllReadyWorkersMayDo) {
  StatusSnapshot status = StatusSnapshot::Take(*BlockOfTwoWorkers(), MonotonicNow());
  for (WorkerSnapshot& worker : status.workers) {
    worker.state = "ready";
    worker.sandbox = Dropped();
  }
  const std::string line = "workers as   user 33, group 34 (4, 34), capabilities 0x400";
  std::string table = StatusTable(status);
  const size_t found = table.find(line);
  ASSERT_NE(found, std::string::npos) << table;
  EXPECT_EQ(table.find("workers as", found + 1), std::string::npos) << table;
  // One that has not got so far yet is no difference.
  status.workers[1].state = "starting";
  status.workers[1].sandbox->seccomp = SandboxState::Seccomp::kOff;
  EXPECT_EQ(StatusTable(status).find("not filtered"), std::string::npos);
  status.workers[1].state = "ready";
  EXPECT_NE(StatusTable(status).find("not filtered"), std::string::npos);
}

TEST(StatusSnapshot, RefusesWhatIsNoJsonAndTakesWhatAnotherReleaseLeavesOut) {
  EXPECT_FALSE(StatusSnapshot::Parse("error starting").ok());
  EXPECT_FALSE(StatusSnapshot::Parse("[]").ok());
  const absl::StatusOr<StatusSnapshot> bare =
      StatusSnapshot::Parse(R"({"name":"old","workers":[{"index":0,"histograms":
      {"handler_time":{"buckets":[[5,1],[999999,1],"x",[1]]}}}]})");
  ASSERT_TRUE(bare.ok()) << bare.status();
  EXPECT_EQ(bare->name, "old");
  EXPECT_EQ(bare->Totals().figures.Get("messages"), 0u);
  EXPECT_EQ(bare->Totals().handler_time.count(), 1u);
}

TEST(FigureSet, ADifferenceKeepsGaugesAndSurvivesANewBeginning) {
  FigureSet before;
  before.Append("messages", FigureKind::kCounter, 10);
  before.Append("open", FigureKind::kGauge, 10);
  before.Append("restarted", FigureKind::kCounter, 100);
  FigureSet now;
  now.Append("messages", FigureKind::kCounter, 17);
  now.Append("open", FigureKind::kGauge, 4);
  now.Append("restarted", FigureKind::kCounter, 3);
  now.Append("new", FigureKind::kCounter, 2);
  const FigureSet since = now.Since(before);
  EXPECT_EQ(since.Get("messages"), 7u);
  EXPECT_EQ(since.Get("open"), 4u);
  EXPECT_EQ(since.Get("restarted"), 3u);
  EXPECT_EQ(since.Get("new"), 2u);
}

TEST(StatusTable, ShowsOnlyCausesThatOccurredMostFrequentFirst) {
  const std::unique_ptr<SharedBlock> block = BlockOfTwoWorkers();
  const std::string table = StatusTable(*block, MonotonicNow());
  const size_t refused = table.find("connections refused, by reason");
  ASSERT_NE(refused, std::string::npos) << table;
  EXPECT_LT(refused, table.find("denied"));
  EXPECT_LT(table.find("denied"), table.find("address_max"));
  EXPECT_NE(table.find("read_timeout"), std::string::npos);
  EXPECT_EQ(table.find("write_timeout"), std::string::npos) << table;
  EXPECT_NE(table.find("5.00 ms"), std::string::npos) << table;
  block->slot(0).counters.refused_address_max.Set(0);
  block->slot(1).counters.refused_address_max.Set(0);
  block->slot(1).counters.refused_denied.Set(0);
  EXPECT_EQ(StatusTable(*block, MonotonicNow()).find("refused, by"), std::string::npos);
}

TEST(ResetGauges, LeavesCountersAlone) {
  const std::unique_ptr<SharedBlock> block = BlockOfTwoWorkers();
  WorkerCounters& counters = block->slot(0).counters;
  counters.connections_open.Set(12);
  ResetGauges(counters);
  EXPECT_EQ(counters.connections_open.Get(), 0u);
  EXPECT_EQ(counters.protocol[kJsonGauge].Get(), 0u);
  EXPECT_EQ(counters.refused_address_max.Get(), 4u);
  EXPECT_EQ(HistogramSnapshot(counters.handler_time).count(), 99u);
}

}  // namespace
}  // namespace ringmaster
