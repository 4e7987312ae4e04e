#include "protocols/http/codec/response_head.h"

#include <gtest/gtest.h>

#include <string>

#include "protocols/http/codec/http_date.h"
#include "protocols/http/codec/status.h"

namespace ringmaster::http {
namespace {

std::string Encode(const ResponseHead& head) {
  std::string out(ResponseHeadBytesMax(head), '\0');
  const size_t bytes = EncodeResponseHead(head, out.data());
  EXPECT_LE(bytes, out.size());
  out.resize(bytes);
  return out;
}

TEST(ResponseHead, CarriesTypeLengthAndExtraFields) {
  ResponseHead head;
  head.content_length = 13;
  head.content_type = "text/plain";
  head.common_lines = "Date: x\r\n";
  head.field_lines = "A: b\r\n";
  EXPECT_EQ(Encode(head),
            "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nA: "
            "b\r\n\r\n");
}

TEST(ResponseHead, SaysHowTheContentEnds) {
  ResponseHead head;
  head.framing = ResponseFraming::kChunked;
  EXPECT_EQ(Encode(head), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  head.framing = ResponseFraming::kUntilClose;
  EXPECT_EQ(Encode(head), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
  head.framing = ResponseFraming::kNone;
  head.status = 204;
  EXPECT_EQ(Encode(head), "HTTP/1.1 204 No Content\r\n\r\n");
  head.keep_alive = true;
  EXPECT_EQ(Encode(head), "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
}

TEST(ResponseHead, FitsItsRoomForEveryStatus) {
  for (int status = 100; status < 600; status++) {
    if (StatusLine(status).empty()) continue;
    ResponseHead head;
    head.status = status;
    head.close = true;
    head.content_length = UINT64_MAX;
    const std::string text = Encode(head);
    EXPECT_EQ(text.substr(0, 13), "HTTP/1.1 " + std::to_string(status) + " ");
    EXPECT_EQ(text.substr(text.size() - 4), "\r\n\r\n");
  }
  EXPECT_EQ(StatusLine(99), "");
  EXPECT_EQ(StatusLine(600), "");
  EXPECT_EQ(ReasonPhrase(404), "Not Found");
  EXPECT_EQ(ReasonPhrase(500), "Internal Server Error");
  EXPECT_EQ(ReasonPhrase(299), "");
}

TEST(FieldLine, RefusesInjection) {
  std::string lines;
  EXPECT_TRUE(AppendFieldLine("A", "b \t\xff", lines));
  EXPECT_EQ(lines, "A: b \t\xff\r\n");
  for (std::string_view value : {"a\r\nB: c", "a\r", "a\n", "\x01", "\x7f"}) {
    EXPECT_FALSE(AppendFieldLine("A", value, lines)) << value;
  }
  EXPECT_FALSE(AppendFieldLine("A", std::string_view("\0", 1), lines));
  for (std::string_view name : {"", "A B", "A:", "A\r\n", "\xff"}) {
    EXPECT_FALSE(AppendFieldLine(name, "b", lines)) << name;
  }
  EXPECT_EQ(lines, "A: b \t\xff\r\n");
}

TEST(ChunkHead, IsTheSizeInHex) {
  char out[kChunkHeadBytesMax];
  EXPECT_EQ(std::string(out, EncodeChunkHead(1, out)), "1\r\n");
  EXPECT_EQ(std::string(out, EncodeChunkHead(UINT64_MAX, out)), "ffffffffffffffff\r\n");
}

TEST(HttpDate, FormatsAndReadsAllThreeForms) {
  constexpr int64_t kTime = 784111777;
  char out[kHttpDateBytes];
  FormatHttpDate(kTime, out);
  EXPECT_EQ(std::string_view(out, sizeof(out)), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(ParseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT", kTime), kTime);
  EXPECT_EQ(ParseHttpDate("Sunday, 06-Nov-94 08:49:37 GMT", kTime), kTime);
  EXPECT_EQ(ParseHttpDate("Sun Nov  6 08:49:37 1994", kTime), kTime);
  EXPECT_EQ(ParseHttpDate("Wed Nov 16 08:49:37 1994", kTime), kTime + 10 * 86400);
}

TEST(HttpDate, ReadsBackWhatItFormats) {
  // Every 31 hours for 230 years: all months, leap days, the century that is none.
  for (int64_t time = 0; time < int64_t{230} * 365 * 86400; time += 31 * 3600 + 61) {
    char out[kHttpDateBytes];
    FormatHttpDate(time, out);
    ASSERT_EQ(ParseHttpDate({out, sizeof(out)}, 0), time) << std::string_view(out, sizeof(out));
  }
}

TEST(HttpDate, PutsATwoDigitYearIntoThePastWhenItSeemsFarAhead) {
  constexpr int64_t kIn2026 = 1780000000;
  EXPECT_EQ(ParseHttpDate("Sunday, 06-Nov-94 08:49:37 GMT", kIn2026), 784111777);
  EXPECT_GT(ParseHttpDate("Friday, 06-Nov-30 08:49:37 GMT", kIn2026), kIn2026);
}

TEST(HttpDate, RefusesWhatIsNoDate) {
  for (std::string_view text :
       {"", "Sun", "Xyz, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Moonday, 06-Nov-94 08:49:37 GMT", "unM, 06 Nov 1994 08:49:37 GMT",
        "Sun Nov 06 08:49:37 94", "784111777"}) {
    EXPECT_EQ(ParseHttpDate(text, 0), std::nullopt) << text;
  }
}

TEST(DateField, ChangesWithTheSecond) {
  DateField date;
  EXPECT_EQ(date.Line(0), "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
  EXPECT_EQ(date.Line(86401), "Date: Fri, 02 Jan 1970 00:00:01 GMT\r\n");
}

}  // namespace
}  // namespace ringmaster::http
