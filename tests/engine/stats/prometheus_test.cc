#include "engine/stats/prometheus.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "engine/stats/shared_status.h"

namespace ringmaster {
namespace {

constexpr char kPromtool[] = "/usr/bin/promtool";

const int kAnswers2xx =
    CounterNames::Register("test_answers_2xx", "answers 200 to 299", FigureKind::kCounter,
                           {"test_answers", "answers by class", "class", "2xx"});
const int kAnswers5xx =
    CounterNames::Register("test_answers_5xx", "answers 500 to 599", FigureKind::kCounter,
                           {"test_answers", "answers by class", "class", "5xx"});
const int kOpenThings =
    CounterNames::Register("test_things_open", "things open now", FigureKind::kGauge);

std::unique_ptr<SharedBlock> BusyBlock() {
  absl::StatusOr<std::unique_ptr<SharedBlock>> block = SharedBlock::Create(2);
  EXPECT_TRUE(block.ok());
  (*block)->Describe("na\"me", "1.0\\x", {"127.0.0.1:80"});
  (*block)->header().master_pid.store(::getpid());
  (*block)->header().started_at.store(MonotonicNow());
  SharedSlot& slot = (*block)->slot(1);
  slot.pid.store(::getpid());
  slot.state.store(SlotState::kReady);
  slot.counters.bytes_received.Add(1000);
  slot.counters.refused_denied.Add(3);
  slot.counters.connections_closed.Add(5);
  slot.counters.closed_by_reason[static_cast<int>(CloseReason::kReadTimeout)].Add(5);
  slot.counters.protocol[kAnswers2xx].Add(7);
  slot.counters.protocol[kAnswers5xx].Add(2);
  slot.counters.protocol[kOpenThings].Set(4);
  slot.counters.handler_time.Add(900, 10);         // below 1 us
  slot.counters.handler_time.Add(30'000, 5);       // 25 us to 50 us
  slot.counters.handler_time.Add(20'000'000'000);  // above the last bound
  return std::move(*block);
}

TEST(PrometheusText, PassesPromtool) {
  if (::access(kPromtool, X_OK) != 0) GTEST_SKIP() << kPromtool << " is not installed";
  const std::string text = PrometheusText(*BusyBlock(), MonotonicNow());
  char path[] = "/tmp/ringmaster-metrics-XXXXXX";
  const UniqueFd fd(::mkstemp(path));
  ASSERT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  std::FILE* tool =
      ::popen((std::string(kPromtool) + " check metrics < " + path + " 2>&1").c_str(), "re");
  ASSERT_NE(tool, nullptr);
  std::string said;
  char piece[4096];
  while (std::fgets(piece, sizeof(piece), tool) != nullptr) said += piece;
  EXPECT_EQ(::pclose(tool), 0) << said << text;
  EXPECT_EQ(said, "");
  ::unlink(path);
}

TEST(PrometheusText, LabelsWorkersReasonsAndClasses) {
  const std::string text = PrometheusText(*BusyBlock(), MonotonicNow());
  for (const char* line : {
           R"(ringmaster_build_info{name="na\"me",version="1.0\\x"} 1)",
           R"(ringmaster_worker_up{worker="0"} 0)",
           R"(ringmaster_worker_up{worker="1"} 1)",
           R"(ringmaster_received_bytes_total{worker="1"} 1000)",
           R"(ringmaster_connections_refused_total{worker="1",reason="denied"} 3)",
           R"(ringmaster_connections_closed_total{worker="1",reason="read_timeout"} 5)",
           R"(ringmaster_test_answers_total{worker="1",class="2xx"} 7)",
           R"(ringmaster_test_answers_total{worker="0",class="5xx"} 0)",
           R"(ringmaster_test_things_open{worker="1"} 4)",
       }) {
    EXPECT_NE(text.find(std::string("\n") + line + "\n"), std::string::npos) << line;
  }
  // Its labelled parts say it already.
  EXPECT_EQ(text.find("ringmaster_connections_closed_total{worker=\"1\"} "), std::string::npos);
}

TEST(PrometheusText, HistogramsAreCumulativeAndEndAtTheCount) {
  const std::string text = PrometheusText(*BusyBlock(), MonotonicNow());
  const auto value = [&](const std::string& sample) {
    const size_t at = text.find("\nringmaster_handler_time_seconds" + sample + " ");
    EXPECT_NE(at, std::string::npos) << sample;
    return at == std::string::npos ? -1.0 : std::stod(text.substr(text.find(' ', at) + 1));
  };
  EXPECT_EQ(value(R"(_bucket{worker="1",le="1e-06"})"), 10);
  EXPECT_EQ(value(R"(_bucket{worker="1",le="2.5e-05"})"), 10);
  EXPECT_EQ(value(R"(_bucket{worker="1",le="5e-05"})"), 15);
  EXPECT_EQ(value(R"(_bucket{worker="1",le="10"})"), 15);
  EXPECT_EQ(value(R"(_bucket{worker="1",le="+Inf"})"), 16);
  EXPECT_EQ(value(R"(_count{worker="1"})"), 16);
  EXPECT_NEAR(value(R"(_sum{worker="1"})"), 20.000159, 1e-9);
}

TEST(PrometheusText, SaysEachMetricOnceAndItsSamplesTogether) {
  std::istringstream lines(PrometheusText(*BusyBlock(), MonotonicNow()));
  std::set<std::string> finished;
  std::set<std::string> samples;
  std::string metric;
  std::string line;
  while (std::getline(lines, line)) {
    if (line.starts_with("# HELP ")) {
      metric = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(finished.insert(metric).second) << metric << " stands twice";
    } else if (!line.starts_with("#")) {
      EXPECT_TRUE(line.starts_with(metric)) << line << " stands below " << metric;
      EXPECT_TRUE(samples.insert(line.substr(0, line.rfind(' '))).second) << line;
    }
  }
  EXPECT_GT(samples.size(), 200u);
}

}  // namespace
}  // namespace ringmaster
