#include "protocols/http/codec/conditional.h"

#include <gtest/gtest.h>

#include <string>

#include "protocols/http/codec/request_head_parser.h"

namespace ringmaster::http {
namespace {

constexpr int64_t kModified = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT
constexpr std::string_view kSame = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr std::string_view kEarlier = "Sun, 06 Nov 1994 08:49:36 GMT";

Precondition Evaluate(const std::string& lines, std::string_view etag = "\"x\"") {
  RequestHead head;
  RequestHeadParser parser;
  const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n";
  EXPECT_EQ(parser.Parse(bytes, {}, head), HeadResult::kDone) << bytes;
  return EvaluatePreconditions(head, etag, kModified, kModified);
}

std::string Line(std::string_view name, std::string_view value) {
  return std::string(name) + ": " + std::string(value) + "\r\n";
}

TEST(IfNoneMatch, ComparesWeaklyThroughLists) {
  for (std::string_view list :
       {"\"x\"", "W/\"x\"", "*", "\"a\", \"x\"", "\"a,b\" , W/\"x\"", ",\"x\""}) {
    EXPECT_EQ(Evaluate(Line("If-None-Match", list)), Precondition::kNotModified) << list;
  }
  for (std::string_view list : {"\"y\"", "x", "\"x", "", "\"X\"", "\"a\" x \"x\"", "W/x"}) {
    EXPECT_EQ(Evaluate(Line("If-None-Match", list)), Precondition::kProceed) << list;
  }
  EXPECT_EQ(Evaluate(Line("If-None-Match", "\"a\"") + Line("If-None-Match", "\"x\"")),
            Precondition::kNotModified);
}

TEST(IfModifiedSince, CountsOnlyWithoutIfNoneMatch) {
  EXPECT_EQ(Evaluate(Line("If-Modified-Since", kSame)), Precondition::kNotModified);
  EXPECT_EQ(Evaluate(Line("If-Modified-Since", kEarlier)), Precondition::kProceed);
  EXPECT_EQ(Evaluate(Line("If-Modified-Since", "yesterday")), Precondition::kProceed);
  EXPECT_EQ(Evaluate(Line("If-None-Match", "\"y\"") + Line("If-Modified-Since", kSame)),
            Precondition::kProceed);
}

TEST(IfMatch, ComparesStrongly) {
  EXPECT_EQ(Evaluate(Line("If-Match", "\"x\"")), Precondition::kProceed);
  EXPECT_EQ(Evaluate(Line("If-Match", "*")), Precondition::kProceed);
  EXPECT_EQ(Evaluate(Line("If-Match", "\"y\"")), Precondition::kFailed);
  EXPECT_EQ(Evaluate(Line("If-Match", "W/\"x\""), "W/\"x\""), Precondition::kFailed);
  EXPECT_EQ(Evaluate(Line("If-Unmodified-Since", kEarlier)), Precondition::kFailed);
  EXPECT_EQ(Evaluate(Line("If-Unmodified-Since", kSame)), Precondition::kProceed);
}

TEST(IfRange, WantsTheSameStrongTagOrTheExactDate) {
  const auto matches = [](std::string_view value, std::string_view etag = "\"x\"") {
    RequestHead head;
    RequestHeadParser parser;
    const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n" + Line("If-Range", value) + "\r\n";
    EXPECT_EQ(parser.Parse(bytes, {}, head), HeadResult::kDone);
    return IfRangeMatches(head, etag, kModified, kModified);
  };
  EXPECT_TRUE(matches("\"x\""));
  EXPECT_TRUE(matches(kSame));
  EXPECT_FALSE(matches("\"y\""));
  EXPECT_FALSE(matches("W/\"x\"", "W/\"x\""));
  EXPECT_FALSE(matches(kEarlier));
  EXPECT_FALSE(matches("x"));
}

TEST(Range, ReadsOneRangeAndIgnoresTheRest) {
  const struct {
    std::string_view value;
    RangeResult result;
    uint64_t first = 0, bytes = 0;
  } kCases[] = {
      {"bytes=0-0", RangeResult::kSatisfiable, 0, 1},
      {"bytes=0-99", RangeResult::kSatisfiable, 0, 100},
      {"bytes=0-100", RangeResult::kSatisfiable, 0, 100},
      {"bytes=99-", RangeResult::kSatisfiable, 99, 1},
      {"bytes=10-19", RangeResult::kSatisfiable, 10, 10},
      {"bytes=-1", RangeResult::kSatisfiable, 99, 1},
      {"bytes=-1000", RangeResult::kSatisfiable, 0, 100},
      {"BYTES=5-5", RangeResult::kSatisfiable, 5, 1},
      {"bytes=0-99999999999999999999999", RangeResult::kSatisfiable, 0, 100},
      {"bytes=100-", RangeResult::kUnsatisfiable},
      {"bytes=100-200", RangeResult::kUnsatisfiable},
      {"bytes=-0", RangeResult::kUnsatisfiable},
      {"bytes=99999999999999999999999-", RangeResult::kUnsatisfiable},
      {"bytes=5-4", RangeResult::kIgnore},
      {"bytes=0-1,5-6", RangeResult::kIgnore},
      {"bytes=", RangeResult::kIgnore},
      {"bytes=-", RangeResult::kIgnore},
      {"bytes=a-b", RangeResult::kIgnore},
      {"bytes 0-1", RangeResult::kIgnore},
      {"lines=0-1", RangeResult::kIgnore},
      {"bytes=0 -1", RangeResult::kIgnore},
      {"bytes=--1", RangeResult::kIgnore},
      {"bytes=+0-1", RangeResult::kIgnore},
      {"", RangeResult::kIgnore},
  };
  for (const auto& c : kCases) {
    ByteRange range;
    ASSERT_EQ(ParseRange(c.value, 100, range), c.result) << c.value;
    if (c.result != RangeResult::kSatisfiable) continue;
    EXPECT_EQ(range.first, c.first) << c.value;
    EXPECT_EQ(range.bytes, c.bytes) << c.value;
  }
  ByteRange range;
  EXPECT_EQ(ParseRange("bytes=-5", 0, range), RangeResult::kUnsatisfiable);
  EXPECT_EQ(ParseRange("bytes=0-", 0, range), RangeResult::kUnsatisfiable);
}

}  // namespace
}  // namespace ringmaster::http
