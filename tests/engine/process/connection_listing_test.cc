#include "engine/process/connection_listing.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "engine/connection/connection_id.h"
#include "engine/process/connection_inquiry.h"

namespace ringmaster {
namespace {

constexpr TimePoint kNow = 1000 * kNanosecondsPerSecond;

ConnectionRecord Record(uint64_t id, std::string_view peer = "192.0.2.1",
                        std::string_view protocol = "line") {
  ConnectionRecord record = {};
  record.id = id;
  record.worker = static_cast<uint32_t>(id >> 48);
  record.opened_at = kNow - 100 * kNanosecondsPerSecond;
  record.last_activity = kNow - 10 * kNanosecondsPerSecond;
  record.deadline = kNever;
  record.state = ConnectionRecord::State::kOpen;
  record.peer.family = AF_INET;
  record.peer.port = 4711;
  inet_pton(AF_INET, std::string(peer).c_str(), record.peer.bytes);
  protocol.copy(record.protocol, sizeof(record.protocol));
  return record;
}

ConnectionQuery Query(const std::vector<std::pair<std::string, std::string>>& options) {
  const absl::StatusOr<ConnectionQuery> query = ConnectionQuery::FromOptions(options);
  EXPECT_TRUE(query.ok()) << query.status();
  return query.ok() ? *query : ConnectionQuery();
}

std::vector<uint64_t> Ids(const std::vector<ConnectionRecord>& records,
                          const std::vector<std::pair<std::string, std::string>>& options) {
  std::vector<uint64_t> ids;
  for (const ConnectionRecord& record : Select(records, Query(options), kNow)) {
    ids.push_back(record.id);
  }
  return ids;
}

std::string QueryError(const std::vector<std::pair<std::string, std::string>>& options) {
  const absl::StatusOr<ConnectionQuery> query = ConnectionQuery::FromOptions(options);
  return query.ok() ? "" : std::string(query.status().message());
}

using Ints = std::vector<uint64_t>;

TEST(ConnectionId, HasOneFormThatIsReadBack) {
  for (const uint64_t id : {uint64_t{1}, uint64_t{42}, uint64_t{3} << 48 | 0x1f4c}) {
    EXPECT_EQ(ParseConnectionId(FormatConnectionId(id)), id);
  }
  EXPECT_EQ(FormatConnectionId(uint64_t{3} << 48 | 0x1f4c), "3000000001f4c");
  for (const char* const text : {"", "0", "x", "1 ", "-1", "11112222333344445", "0x1"}) {
    EXPECT_FALSE(ParseConnectionId(text)) << text;
  }
}

TEST(ConnectionQuery, FiltersByEverythingThatIsShown) {
  std::vector<ConnectionRecord> records = {Record(1, "10.0.0.1", "line"),
                                           Record(2, "10.1.0.1", "chat"),
                                           Record(uint64_t{1} << 48 | 3, "192.0.2.9", "line")};
  records[0].queue_bytes = 100'000;
  records[1].last_activity = kNow - 90 * kNanosecondsPerSecond;
  records[1].state = ConnectionRecord::State::kLingering;
  records[2].opened_at = kNow - 3600 * kNanosecondsPerSecond;
  const uint64_t third = records[2].id;
  EXPECT_EQ(Ids(records, {}), (Ints{1, 2, third}));
  EXPECT_EQ(Ids(records, {{"--peer", "10.0.0.0/8"}}), (Ints{1, 2}));
  EXPECT_EQ(Ids(records, {{"--peer", "10.0.0.0/16"}, {"--peer", "192.0.2.9"}}), (Ints{1, third}));
  EXPECT_EQ(Ids(records, {{"--worker", "1"}}), (Ints{third}));
  EXPECT_EQ(Ids(records, {{"--protocol", "chat"}}), (Ints{2}));
  EXPECT_EQ(Ids(records, {{"--state", "lingering"}}), (Ints{2}));
  EXPECT_EQ(Ids(records, {{"--min-idle", "1m"}}), (Ints{2}));
  EXPECT_EQ(Ids(records, {{"--min-age", "1h"}}), (Ints{third}));
  EXPECT_EQ(Ids(records, {{"--min-queue", "64KiB"}}), (Ints{1}));
  EXPECT_EQ(Ids(records, {{"--protocol", "line"}, {"--worker", "0"}}), (Ints{1}));
}

TEST(ConnectionQuery, SortsFiguresDownAndNamesUp) {
  std::vector<ConnectionRecord> records = {Record(1, "10.0.0.3", "c"), Record(2, "10.0.0.1", "b"),
                                           Record(3, "10.0.0.2", "a")};
  records[0].bytes_received = 5;
  records[1].bytes_received = 7;
  records[2].bytes_sent = 9;
  records[0].messages = 2;
  records[2].queue_bytes = 1;
  records[1].opened_at -= 1;
  records[2].last_activity -= 1;
  records[2].deadline = kNow + kNanosecondsPerSecond;
  records[0].state = ConnectionRecord::State::kClosing;
  const std::pair<const char*, Ints> kCases[] = {
      {"id", {1, 2, 3}},    {"worker", {1, 2, 3}},   {"protocol", {3, 2, 1}},
      {"peer", {2, 3, 1}},  {"age", {2, 1, 3}},      {"idle", {3, 1, 2}},
      {"in", {2, 1, 3}},    {"out", {3, 1, 2}},      {"messages", {1, 2, 3}},
      {"queue", {3, 1, 2}}, {"deadline", {3, 1, 2}}, {"state", {2, 3, 1}}};
  for (const auto& [key, wanted] : kCases) {
    EXPECT_EQ(Ids(records, {{"--sort", key}}), wanted) << key;
  }
  EXPECT_EQ(Ids(records, {{"--sort", "in"}, {"--top", "2"}}), (Ints{2, 1}));
  EXPECT_EQ(Ids(records, {{"--top", "0"}}), Ints{});
  EXPECT_EQ(Ids(records, {{"--top", "100"}}).size(), 3u);
}

TEST(ConnectionQuery, SaysWhatWouldBeRight) {
  EXPECT_NE(QueryError({{"--sort", "size"}}).find("one of id, worker"), std::string::npos);
  EXPECT_NE(QueryError({{"--state", "shut"}}).find("one of connecting, open"), std::string::npos);
  EXPECT_EQ(QueryError({{"--top", "-1"}}), "--top takes a number, not \"-1\"");
  EXPECT_EQ(QueryError({{"--min-idle", "1.5s"}}),
            "--min-idle takes a duration such as 30s or 5m, not \"1.5s\"");
  EXPECT_EQ(QueryError({{"--min-queue", "64KB"}}),
            "--min-queue takes a size such as 64KiB, not \"64KB\"");
  EXPECT_NE(QueryError({{"--peer", "10.0.0.1/8"}}), "");
  EXPECT_NE(QueryError({{"--worker", "one"}}), "");
}

// Plays the workers of an inquiry: two of them.
class Inquiry : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(inquiry_.AddWorker(0).ok());
    ASSERT_TRUE(inquiry_.AddWorker(1).ok());
  }
  uint64_t Begin() { return inquiry_.Begin({0, 1}, kNow); }

  void Write(uint32_t worker, uint64_t request, const std::vector<ConnectionRecord>& records) {
    const int fd = inquiry_.report_fd(worker);
    ConnectionReportHeader header;
    header.request = request;
    header.count = records.size();
    const auto bytes = static_cast<ssize_t>(records.size() * sizeof(ConnectionRecord));
    ASSERT_EQ(::pwrite(fd, &header, sizeof(header), 0), static_cast<ssize_t>(sizeof(header)));
    ASSERT_EQ(::pwrite(fd, records.data(), static_cast<size_t>(bytes), sizeof(header)), bytes);
  }
  ConnectionListing Taken() {
    const absl::StatusOr<ConnectionListing> listing =
        ConnectionListing::Parse(inquiry_.TakeAnswer(kNow));
    EXPECT_TRUE(listing.ok()) << listing.status();
    return listing.ok() ? *listing : ConnectionListing();
  }

  ConnectionInquiry inquiry_;
};

TEST_F(Inquiry, CollectsWhatEveryWorkerWrote) {
  inquiry_.Add(7);
  EXPECT_EQ(inquiry_.deadline(), 0) << "it shall begin at once";
  const uint64_t request = Begin();
  EXPECT_FALSE(inquiry_.Done(kNow));
  Write(0, request, {Record(1), Record(2)});
  inquiry_.OnListed(0, request);
  EXPECT_FALSE(inquiry_.Done(kNow));
  Write(1, request, {Record(uint64_t{1} << 48 | 1)});
  inquiry_.OnListed(1, request);
  EXPECT_TRUE(inquiry_.Done(kNow));
  const ConnectionListing listing = Taken();
  ASSERT_EQ(listing.records.size(), 3u);
  EXPECT_EQ(listing.records[2].id, uint64_t{1} << 48 | 1);
  EXPECT_EQ(listing.now, kNow);
  EXPECT_EQ(inquiry_.TakeClients(), (Ints{7}));
  EXPECT_FALSE(inquiry_.running());
  EXPECT_EQ(inquiry_.deadline(), kNever);
}

TEST_F(Inquiry, ShowsTheOthersWhenOneIsBusyOrGone) {
  inquiry_.Add(7);
  const uint64_t request = Begin();
  Write(0, request, {Record(1)});
  inquiry_.OnListed(0, request);
  EXPECT_TRUE(inquiry_.Done(kNow + ConnectionInquiry::kPatience.count()));
  ConnectionListing listing = Taken();
  EXPECT_EQ(listing.workers[0].state, "listed");
  EXPECT_EQ(listing.workers[1].state, "busy");
  EXPECT_NE(ConnectionsTable(listing, listing.records).find("worker 1 is busy: no answer"),
            std::string::npos);
  inquiry_.TakeClients();

  inquiry_.Add(8);
  Begin();
  inquiry_.OnGone(0);
  inquiry_.OnGone(1);
  EXPECT_TRUE(inquiry_.Done(kNow));
  listing = Taken();
  EXPECT_EQ(listing.workers[1].state, "gone");
  EXPECT_TRUE(listing.records.empty());
}

// A worker that was busy answers the former question when it goes on.
TEST_F(Inquiry, TakesNoAnswerToAnEarlierQuestion) {
  inquiry_.Add(1);
  const uint64_t first = Begin();
  inquiry_.TakeAnswer(kNow);
  inquiry_.TakeClients();
  inquiry_.Add(2);
  const uint64_t second = Begin();
  EXPECT_NE(first, second);
  Write(0, first, {Record(1)});
  inquiry_.OnListed(0, first);
  EXPECT_FALSE(inquiry_.Done(kNow));
  // Not even when it says the right number and wrote nothing.
  inquiry_.OnListed(0, second);
  inquiry_.OnGone(1);
  EXPECT_EQ(Taken().workers[0].state, "gone");
}

TEST_F(Inquiry, AClientThatComesLaterGetsALaterAnswer) {
  inquiry_.Add(1);
  Begin();
  inquiry_.Add(2);
  EXPECT_TRUE(inquiry_.waiting());
  inquiry_.OnGone(0);
  inquiry_.OnGone(1);
  inquiry_.TakeAnswer(kNow);
  EXPECT_EQ(inquiry_.TakeClients(), (Ints{1}));
  EXPECT_EQ(inquiry_.deadline(), 0);
  Begin();
  EXPECT_EQ(inquiry_.TakeClients(), (Ints{2}));
}

TEST(ConnectionListing, RefusesWhatItDoesNotUnderstand) {
  for (const char* const answer : {"", "connections 999 88 1 0\n", "connections 1\n", "table\n",
                                   "connections 1 112 1 1\nworker 0 listed 5\n"}) {
    EXPECT_FALSE(ConnectionListing::Parse(answer).ok()) << answer;
  }
}

TEST(ConnectionListing, PrintsForPeopleAndForPrograms) {
  ConnectionListing listing;
  listing.now = kNow;
  listing.workers = {{0, "listed", 1}};
  listing.records = {Record(0x2a)};
  listing.records[0].deadline = kNow + 75 * kNanosecondsPerSecond;
  listing.records[0].deadline_reason = CloseReason::kReadTimeout;
  listing.records[0].queue_bytes = 20'480;
  const std::string table = ConnectionsTable(listing, listing.records);
  for (const char* const text : {"2a ", "line", "192.0.2.1:4711", "1m 40s", "10.0s", "20.0 KiB",
                                 "open", "read_timeout in 1m 15s", "1 of 1 connections"}) {
    EXPECT_NE(table.find(text), std::string::npos) << text << "\n" << table;
  }
  const std::string json = ConnectionsJson(listing, listing.records);
  for (const char* const text :
       {R"("id":"2a")", R"("peer":"192.0.2.1:4711")", R"("age_seconds":100.000)",
        R"("deadline":{"reason":"read_timeout","in_seconds":75.000})", R"("total":1)"}) {
    EXPECT_NE(json.find(text), std::string::npos) << text << "\n" << json;
  }
}

}  // namespace
}  // namespace ringmaster
