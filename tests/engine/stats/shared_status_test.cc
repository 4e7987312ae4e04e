#include "engine/stats/shared_status.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <simdjson.h>
#include <unistd.h>

#include "engine/base/json_string.h"
#include "engine/base/log.h"

namespace ringmaster {
namespace {

const int kTestCounter = CounterNames::Register("test_figure", "a figure of this test");

std::unique_ptr<SharedBlock> MakeBlock() {
  absl::StatusOr<std::unique_ptr<SharedBlock>> block = SharedBlock::Create(2);
  EXPECT_TRUE(block.ok());
  (*block)->Describe("na\"me", "1.0", {"127.0.0.1:80", "unix:/run/x.sock"});
  return std::move(*block);
}

TEST(SharedBlock, IsSeenThroughASecondMapping) {
  const std::unique_ptr<SharedBlock> ours = MakeBlock();
  const absl::StatusOr<std::unique_ptr<SharedBlock>> theirs =
      SharedBlock::Map(UniqueFd(::dup(ours->fd())));
  ASSERT_TRUE(theirs.ok()) << theirs.status();
  ours->slot(1).counters.messages.Add(17);
  EXPECT_EQ((*theirs)->slot(1).counters.messages.Get(), 17u);
  EXPECT_EQ((*theirs)->slot(0).counters.messages.Get(), 0u);
  EXPECT_STREQ((*theirs)->header().listeners[1], "unix:/run/x.sock");
}

TEST(SharedBlock, RefusesTheLayoutOfAnotherRelease) {
  const std::unique_ptr<SharedBlock> ours = MakeBlock();
  ours->header().layout += 1;
  EXPECT_FALSE(SharedBlock::Map(UniqueFd(::dup(ours->fd()))).ok());
  EXPECT_FALSE(SharedBlock::Map(UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC))).ok());
}

// The admin process counts behind the workers.
std::unique_ptr<SharedBlock> MakeBlockWithAdmin() {
  absl::StatusOr<std::unique_ptr<SharedBlock>> block = SharedBlock::Create(1, /*with_admin=*/true);
  EXPECT_TRUE(block.ok());
  (*block)->Describe("server", "1.0", {"127.0.0.1:80"}, "unix:/run/x.admin.sock");
  (*block)->slot(0).counters.messages.Add(40);
  (*block)->admin_slot()->counters.messages.Add(2);
  (*block)->admin_slot()->restarts.store(3);
  return std::move(*block);
}

TEST(SharedBlock, TheAdminSlotIsNoWorkersSlot) {
  EXPECT_EQ(MakeBlock()->admin_slot(), nullptr);
  const std::unique_ptr<SharedBlock> ours = MakeBlockWithAdmin();
  EXPECT_EQ(ours->slot_count(), 1u);
  const absl::StatusOr<std::unique_ptr<SharedBlock>> theirs =
      SharedBlock::Map(UniqueFd(::dup(ours->fd())));
  ASSERT_TRUE(theirs.ok()) << theirs.status();
  ASSERT_NE((*theirs)->admin_slot(), nullptr);
  EXPECT_EQ((*theirs)->slot_count(), 1u);
  EXPECT_EQ((*theirs)->admin_slot()->counters.messages.Get(), 2u);
  EXPECT_EQ((*theirs)->slot(0).counters.messages.Get(), 40u);
}

TEST(StatusJson, ShowsTheAdminProcessAndLeavesItOutOfTheTotals) {
  const std::string text = StatusJson(*MakeBlockWithAdmin(), MonotonicNow());
  simdjson::dom::parser parser;
  simdjson::dom::element json;
  ASSERT_EQ(parser.parse(text).get(json), simdjson::SUCCESS) << text;
  EXPECT_EQ(std::string_view(json["admin"]["address"]), "unix:/run/x.admin.sock");
  EXPECT_EQ(uint64_t(json["admin"]["index"]), 1u);
  EXPECT_EQ(uint64_t(json["admin"]["counters"]["messages"]), 2u);
  EXPECT_EQ(uint64_t(json["totals"]["counters"]["messages"]), 40u);
  EXPECT_EQ(uint64_t(json["totals"]["restarts"]), 0u);
  const absl::StatusOr<StatusSnapshot> parsed = StatusSnapshot::Parse(text);
  ASSERT_TRUE(parsed.ok());
  ASSERT_TRUE(parsed->admin.has_value());
  EXPECT_EQ(parsed->admin_listener, "unix:/run/x.admin.sock");
  EXPECT_EQ(parsed->admin->restarts, 3u);
  EXPECT_EQ(parsed->workers.size(), 1u);

  const std::string without = StatusJson(*MakeBlock(), MonotonicNow());
  ASSERT_EQ(parser.parse(without).get(json), simdjson::SUCCESS) << without;
  EXPECT_NE(json["admin"].error(), simdjson::SUCCESS);
}

TEST(StatusTable, ShowsTheAdminProcessBelowTheTotals) {
  const std::string table = StatusTable(*MakeBlockWithAdmin(), MonotonicNow());
  EXPECT_NE(table.find("admin on     unix:/run/x.admin.sock\n"), std::string::npos) << table;
  const size_t total = table.find("\ntotal ");
  ASSERT_NE(total, std::string::npos) << table;
  EXPECT_NE(table.find("\nadmin ", total), std::string::npos) << table;
  EXPECT_EQ(StatusTable(*MakeBlock(), MonotonicNow()).find("admin"), std::string::npos);
}

TEST(StatusJson, NamesEveryCounterAndAddsUpTheWorkers) {
  const std::unique_ptr<SharedBlock> block = MakeBlock();
  block->slot(0).counters.bytes_sent.Add(40);
  block->slot(1).counters.bytes_sent.Add(2);
  block->slot(1).counters.protocol[kTestCounter].Add(5);
  const auto timeout = static_cast<int>(CloseReason::kReadTimeout);
  block->slot(0).counters.closed_by_reason[timeout].Add(3);
  const std::string text = StatusJson(*block, MonotonicNow());
  simdjson::dom::parser parser;
  simdjson::dom::element json;
  ASSERT_EQ(parser.parse(text).get(json), simdjson::SUCCESS) << text;
  EXPECT_EQ(std::string_view(json["name"]), "na\"me");
  const simdjson::dom::element totals = json["totals"]["counters"];
  EXPECT_EQ(uint64_t(totals["bytes_sent"]), 42u);
  EXPECT_EQ(uint64_t(totals["test_figure"]), 5u);
  EXPECT_EQ(uint64_t(totals["closed_read_timeout"]), 3u);
#define RINGMASTER_EXPECT_COUNTER(field, description) \
  EXPECT_EQ(totals[#field].error(), simdjson::SUCCESS) << #field;
  RINGMASTER_COUNTERS(RINGMASTER_EXPECT_COUNTER)
  RINGMASTER_GAUGES(RINGMASTER_EXPECT_COUNTER)
#undef RINGMASTER_EXPECT_COUNTER
}

TEST(CounterNames, GivesEveryNameASlotOfItsOwn) {
  const int slot = CounterNames::Register("another_figure", "x");
  EXPECT_NE(slot, kTestCounter);
  EXPECT_EQ(CounterNames::name(slot), "another_figure");
  EXPECT_EQ(CounterNames::description(kTestCounter), "a figure of this test");
}

TEST(JsonString, EscapesWhatRfc8259Asks) {
  const auto quote = [](std::string_view text) {
    std::string out;
    AppendJsonString(out, text);
    return out;
  };
  EXPECT_EQ(quote("a\"\\b"), R"("a\"\\b")");
  EXPECT_EQ(quote(std::string_view("\n\0\x1f", 3)), R"("\n\u0000\u001f")");
  EXPECT_EQ(quote("\xc3\xa9\xf0\x9f\x98\x80"), "\"\xc3\xa9\xf0\x9f\x98\x80\"");
  for (const char* bad : {"\xff", "\xc0", "\xed", "\x80"}) EXPECT_EQ(quote(bad), R"("\ufffd")");
  EXPECT_EQ(quote("\xed\xa0\x80"), R"("\ufffd\ufffd\ufffd")");  // a surrogate
}

std::string Logged(const std::string& format, const std::string& message) {
  char path[] = "/tmp/ringmaster-log-XXXXXX";
  const UniqueFd fd(::mkstemp(path));
  EXPECT_TRUE(log::Setup("info", format, path, "master").ok());
  log::Get().debug("not wanted");
  log::Get().warn("{}", message);
  EXPECT_TRUE(log::Setup("info", "text", "", "test").ok());
  char text[512] = {};
  EXPECT_GT(::pread(fd.get(), text, sizeof(text) - 1, 0), 0);
  ::unlink(path);
  return text;
}

TEST(Log, WritesTextLinesThatAMessageCannotForge) {
  const std::string line = Logged("text", "bad\n2026 error [master] forged");
  EXPECT_NE(line.find("warn    [master] bad\\x0a2026 error"), std::string::npos) << line;
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST(Log, WritesJsonLines) {
  const std::string line = Logged("json", "say \"hi\"\n");
  simdjson::dom::parser parser;
  simdjson::dom::element json;
  ASSERT_EQ(parser.parse(line).get(json), simdjson::SUCCESS) << line;
  EXPECT_EQ(std::string_view(json["level"]), "warn");
  EXPECT_EQ(std::string_view(json["message"]), "say \"hi\"\n");
}

TEST(Log, RefusesWhatItDoesNotKnow) {
  EXPECT_FALSE(log::Setup("loud", "text", "", "x").ok());
  EXPECT_FALSE(log::Setup("info", "xml", "", "x").ok());
  EXPECT_FALSE(log::Setup("info", "text", "/nonexistent/x.log", "x").ok());
}

}  // namespace
}  // namespace ringmaster
