#include "engine/stats/watch_view.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>

#include "engine/stats/human_units.h"

namespace ringmaster {
namespace {

// A server at `seconds`, whose workers have each counted `messages`.
StatusSnapshot ServerAt(double seconds, uint64_t messages, uint32_t worker_count = 2) {
  StatusSnapshot status;
  status.name = "game";
  status.version = "2.1";
  status.pid = 100;
  status.uptime_seconds = seconds;
  for (uint32_t i = 0; i < worker_count; ++i) {
    WorkerSnapshot worker;
    worker.index = i;
    worker.pid = static_cast<int32_t>(101 + i);
    worker.state = "ready";
    worker.counted.figures.Append("messages", FigureKind::kCounter, messages);
    worker.counted.figures.Append("bytes_sent", FigureKind::kCounter, messages * 1024);
    worker.counted.figures.Append("connections_open", FigureKind::kGauge, 5);
    worker.counted.figures.Append("closed_peer_closed", FigureKind::kCounter, messages / 10);
    worker.counted.figures.Append("refused_denied", FigureKind::kCounter, messages / 20);
    // The first half of the run took 1 us each, the second 1 ms.
    worker.counted.handler_time.SetBucket(HistogramShape::BucketOf(1'000),
                                          std::min<uint64_t>(messages, 1000));
    worker.counted.handler_time.SetBucket(HistogramShape::BucketOf(1'000'000),
                                          messages > 1000 ? messages - 1000 : 0);
    worker.counted.handler_time.SetSumAndMax(messages * 1000, 1'000'000);
    status.workers.push_back(std::move(worker));
  }
  return status;
}

std::string Text(const std::vector<ScreenLine>& lines) {
  std::string text;
  for (const ScreenLine& line : lines) text += line.text + "\n";
  return text;
}

std::string LineWith(const std::vector<ScreenLine>& lines, const std::string& word) {
  for (const ScreenLine& line : lines) {
    if (line.text.find(word) != std::string::npos) return line.text;
  }
  return "";
}

TEST(RenderWatch, ShowsRatesOfTheInterval) {
  const StatusSnapshot before = ServerAt(10, 1000);
  const auto lines = RenderWatch(&before, ServerAt(12, 3000), "2 s", {120, 40});
  EXPECT_NE(lines[0].text.find("game 2.1  pid 100  up 12.0s  every 2 s"), std::string::npos);
  // 2,000 messages of each of two workers in two seconds.
  EXPECT_NE(lines[1].text.find("messages/s 2000"), std::string::npos) << lines[1].text;
  EXPECT_NE(lines[1].text.find("open 10 "), std::string::npos) << lines[1].text;
  EXPECT_NE(lines[1].text.find("refused/s 100 "), std::string::npos) << lines[1].text;
  const std::string worker = LineWith(lines, "worker 1");
  EXPECT_NE(worker.find(" 1000 "), std::string::npos) << worker;
  EXPECT_NE(worker.find("0.98 MiB"), std::string::npos) << worker;
  EXPECT_NE(LineWith(lines, "peer_closed").find("200"), std::string::npos);
  EXPECT_NE(LineWith(lines, "denied").find("100"), std::string::npos);
}

TEST(RenderWatch, PercentilesAreOfTheIntervalAlone) {
  const StatusSnapshot before = ServerAt(10, 1000);
  const auto lines = RenderWatch(&before, ServerAt(12, 1004), "2 s", {120, 40});
  const std::string handler = LineWith(lines, "handler");
  EXPECT_EQ(handler.find("us"), std::string::npos) << handler;
  EXPECT_NE(handler.find("1.00 ms"), std::string::npos) << handler;
}

TEST(RenderWatch, WithoutAnIntervalRatesAreUnknown) {
  const StatusSnapshot now = ServerAt(12, 3000);
  StatusSnapshot other = ServerAt(5, 1);
  other.pid = 99;  // another server of the same name
  for (const StatusSnapshot* before : {static_cast<const StatusSnapshot*>(nullptr),
                                       static_cast<const StatusSnapshot*>(&other), &now}) {
    const auto lines = RenderWatch(before, now, "1 s", {120, 40});
    EXPECT_NE(lines[1].text.find("messages/s - "), std::string::npos) << lines[1].text;
  }
}

TEST(RenderWatch, FitsEveryScreen) {
  const StatusSnapshot before = ServerAt(10, 1000, 20);
  const StatusSnapshot now = ServerAt(12, 3000, 20);
  for (int columns = 0; columns <= 130; columns += 13) {
    for (int rows = 0; rows <= 50; ++rows) {
      const auto lines = RenderWatch(&before, now, "1 s", {columns, rows});
      ASSERT_LE(static_cast<int>(lines.size()), rows);
      for (const ScreenLine& line : lines) {
        ASSERT_LE(static_cast<int>(line.text.size()), columns) << line.text;
      }
    }
  }
}

TEST(RenderWatch, SaysHowManyWorkersDoNotFit) {
  const StatusSnapshot before = ServerAt(10, 1000, 20);
  const StatusSnapshot now = ServerAt(12, 3000, 20);
  const std::string tall = Text(RenderWatch(&before, now, "1 s", {120, 50}));
  EXPECT_NE(tall.find("worker 19"), std::string::npos);
  EXPECT_EQ(tall.find("more workers"), std::string::npos);
  const std::string small = Text(RenderWatch(&before, now, "1 s", {120, 24}));
  int shown = 0;
  for (int i = 0; i < 20; ++i) {
    shown += small.find("worker " + std::to_string(i) + " ") != std::string::npos;
  }
  EXPECT_NE(small.find("... " + std::to_string(20 - shown) + " more workers"), std::string::npos)
      << small;
  EXPECT_NE(small.find("total"), std::string::npos) << small;
  EXPECT_NE(small.find("peer_closed"), std::string::npos) << small;
}

TEST(RenderWatch, ANameCannotSteerTheTerminal) {
  StatusSnapshot now = ServerAt(12, 3000);
  now.name = "ga\x1b[2Jme\n";
  for (const ScreenLine& line : RenderWatch(nullptr, now, "1 s", {120, 40})) {
    for (const char c : line.text) ASSERT_GE(static_cast<unsigned char>(c), 0x20) << line.text;
  }
}

TEST(RenderWatch, DoesNotCutACharacterInTwo) {
  StatusSnapshot now = ServerAt(12, 3000);
  now.name = "\xc3\xa9\xc3\xa9\xc3\xa9";
  EXPECT_EQ(RenderWatch(nullptr, now, "1 s", {2, 40})[0].text, "\xc3\xa9\xc3\xa9");
}

TEST(WatchJson, AddsRatesOnceThereIsAnInterval) {
  const StatusSnapshot before = ServerAt(10, 1000);
  const StatusSnapshot now = ServerAt(12, 3000);
  simdjson::dom::parser parser;
  simdjson::dom::element json;
  ASSERT_EQ(parser.parse(WatchJson(nullptr, now)).get(json), simdjson::SUCCESS);
  EXPECT_EQ(json["interval"].error(), simdjson::NO_SUCH_FIELD);
  const std::string line = WatchJson(&before, now);
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  ASSERT_EQ(parser.parse(line).get(json), simdjson::SUCCESS) << line;
  EXPECT_DOUBLE_EQ(double(json["interval"]["seconds"]), 2.0);
  EXPECT_DOUBLE_EQ(double(json["interval"]["rates"]["messages"]), 2000.0);
  EXPECT_EQ(json["interval"]["rates"]["connections_open"].error(), simdjson::NO_SUCH_FIELD);
  EXPECT_EQ(uint64_t(json["interval"]["histograms"]["handler_time"]["count"]), 4000u);
  EXPECT_EQ(uint64_t(json["totals"]["counters"]["messages"]), 6000u);
}

TEST(HumanUnits, KeepThreeDigitsAndTheRightUnit) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.50 KiB");
  EXPECT_EQ(HumanBytes(20 << 20), "20.0 MiB");
  EXPECT_EQ(HumanBytes(1023ull << 20), "1.00 GiB");
  EXPECT_EQ(HumanNanoseconds(999), "999 ns");
  EXPECT_EQ(HumanNanoseconds(1250), "1.25 us");
  EXPECT_EQ(HumanNanoseconds(999'900), "1.00 ms");
  EXPECT_EQ(HumanNanoseconds(12'340'000'000), "12.3 s");
  EXPECT_EQ(HumanNanoseconds(137'000'000'000), "137 s");
  EXPECT_EQ(HumanRate(0), "0");
  EXPECT_EQ(HumanRate(0.5), "0.5");
  EXPECT_EQ(HumanRate(1234), "1234");
  EXPECT_EQ(HumanRate(14'200), "14.2k");
  EXPECT_EQ(HumanRate(3'450'000), "3.45M");
  EXPECT_EQ(HumanUptime(3.25), "3.2s");
  EXPECT_EQ(HumanUptime(90061), "1d 1h");
}

}  // namespace
}  // namespace ringmaster
