#include "protocols/http/codec/request_head_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/protocols/http/codec/head_parsing.h"

namespace ringmaster::http {
namespace {

TEST(RequestHeadParser, ReadsEveryPartOfAHead) {
  EXPECT_EQ(Parse("POST /a/b?x=1?2 HTTP/1.1\r\nHost:  example.com:80 \r\nContent-Length: 5\r\n"
                  "Expect: 100-Continue\r\nX-Empty:\r\n\r\nHello")
                .seen,
            "POST|/a/b?x=1?2|/a/b|x=1?2|example.com:80|1KE1/5/103\nHost=example.com:80\n"
            "Content-Length=5\nExpect=100-Continue\nX-Empty=");
}

TEST(RequestHeadParser, StopsAtTheEndOfTheHeadWhateverFollows) {
  const std::string head = WithField("A: b");
  for (int c = 0; c < 256; c++) {
    EXPECT_EQ(Parse(head + static_cast<char>(c)).seen, Parse(head).seen);
  }
}

TEST(RequestHeadParser, SkipsOneEmptyLineInFront) {
  EXPECT_EQ(Result("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), kDone);
  EXPECT_EQ(Result("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), kBad);
  EXPECT_EQ(Result("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), kBad);
  EXPECT_EQ(Result("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"), kBad);
  EXPECT_EQ(Result(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), kBad);
  EXPECT_EQ(Result("\r\n"), kIncomplete);
}

TEST(RequestHeadParser, IsIncompleteForEveryProperPrefix) {
  const std::string head =
      "\r\nPUT http://h:1/p?q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  ASSERT_EQ(Result(head), kDone);
  for (size_t i = 0; i < head.size(); i++) EXPECT_EQ(Result(head.substr(0, i)), kIncomplete) << i;
}

TEST(RequestHeadParser, RefusesABadByteAsSoonAsItIsThere) {
  for (std::string_view prefix : {"\n",
                                  "G\n",
                                  "G\r",
                                  "GET\t",
                                  "GET  ",
                                  "GET /\r",
                                  "GET /\n",
                                  "GET /#",
                                  "GET /\x80",
                                  "GET / h",
                                  "GET / HTTP/1.1\n",
                                  "GET / HTTP/1.1 ",
                                  "GET / HTTP/1.1\r\r",
                                  "GET / HTTP/1.1\r\n ",
                                  "GET / HTTP/1.1\r\n:",
                                  "GET / HTTP/1.1\r\nHost ",
                                  "GET / HTTP/1.1\r\nHost: a\n",
                                  "GET / HTTP/1.1\r\nHost: a\ra",
                                  "GET / HTTP/1.1\r\nHost: a\r\n ",
                                  "GET / HTTP/1.1\r\nHost: a\r\n\n",
                                  "GET / HTTP/1.1\r\nHost: a\r\n\rx",
                                  "GET / HTTP/1.1\r\nA: \x7f"}) {
    EXPECT_EQ(Result(prefix), kBad) << prefix;
    EXPECT_EQ(Result(prefix.substr(0, prefix.size() - 1)), kIncomplete) << prefix;
  }
  EXPECT_EQ(Result(std::string_view("GET /\0", 6)), kBad);
}

TEST(RequestHeadParser, HoldsEveryByteToItsPlace) {
  const std::string_view tchars = "!#$%&'*+-.^_`|~";
  for (int i = 0; i < 256; i++) {
    const char c = static_cast<char>(i);
    const bool alnum = i < 128 && isalnum(i);
    const bool tchar = alnum || (c != '\0' && tchars.find(c) != std::string_view::npos);
    const std::string one(1, c);
    EXPECT_EQ(Result("A" + one + "B / HTTP/1.1\r\nHost: a\r\n\r\n") == kDone, tchar) << i;
    EXPECT_EQ(Result(one + "B / HTTP/1.1\r\nHost: a\r\n\r\n") == kDone, tchar) << i;
    // A colon would end the name early, which is another valid head.
    EXPECT_EQ(Result(WithField("A" + one + "B: c")) == kDone, tchar || c == ':') << i;
    EXPECT_EQ(Result(WithField(one + "B: c")) == kDone, tchar) << i;
    const bool value = c == '\t' || (i >= 0x20 && i != 0x7f);
    EXPECT_EQ(Result(WithField("A: b" + one + "c")) == kDone, value) << i;
    EXPECT_EQ(Result(WithField("A: 0123456789abcdef" + one + "0123456789abcdef")) == kDone, value)
        << i;
    const bool path =
        i > 0x20 && i < 0x7f && std::string_view("\"<>\\^`{}#").find(c) == std::string_view::npos;
    const bool query =
        i > 0x20 && i < 0x7f && std::string_view("\"<>#").find(c) == std::string_view::npos;
    EXPECT_EQ(Result(WithTarget("/a" + one + "b")) == kDone, path) << i;
    EXPECT_EQ(Result(WithTarget("/?a" + one + "b")) == kDone, query) << i;
  }
}

TEST(RequestHeadParser, WantsExactlyOneOfTwoVersions) {
  const struct {
    std::string_view version;
    HeadResult result;
  } kCases[] = {
      {"HTTP/1.1", kDone},
      {"HTTP/1.0", kDone},
      {"HTTP/1.2", kDone},
      {"HTTP/1.9", kDone},
      {"HTTP/2.0", HeadResult::kVersionNotSupported},
      {"HTTP/3.0", HeadResult::kVersionNotSupported},
      {"HTTP/0.9", HeadResult::kVersionNotSupported},
      {"HTTP/9.9", HeadResult::kVersionNotSupported},
      {"http/1.1", kBad},
      {"Http/1.1", kBad},
      {"HTTP/1.10", kBad},
      {"HTTP/11.1", kBad},
      {"HTTP/1", kBad},
      {"HTTP/1.", kBad},
      {"HTTP/.1", kBad},
      {"HTTP/1,1", kBad},
      {"HTTP 1.1", kBad},
      {"HTTP/1.1 ", kBad},
      {" HTTP/1.1", kBad},
      {"", kBad},
      {"HTTPS/1.1", kBad},
      {"HTTP/a.1", kBad},
      {"HTTP/1.a", kBad},
      {"HTTP/+1.1", kBad},
      {"HTTP/2", kBad},
      {"\tHTTP/1.1", kBad},
      {"ICE/1.0", kBad},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Result("GET / " + std::string(c.version) + "\r\nHost: a\r\n\r\n"), c.result)
        << c.version;
  }
  EXPECT_EQ(Result("GET /\r\n"), kBad);
}

TEST(RequestHeadParser, KnowsTheFourFormsOfTheTarget) {
  const struct {
    std::string_view method, target, path, query, host;
  } kValid[] = {
      {"GET", "/", "/", "", "a"},
      {"GET", "//", "//", "", "a"},
      {"GET", "/?", "/", "", "a"},
      {"GET", "/a?b?c/../d", "/a", "b?c/../d", "a"},
      {"GET", "/a:b@c;d=1,2!$&'()*+~", "/a:b@c;d=1,2!$&'()*+~", "", "a"},
      {"GET", "http://b", "/", "", "b"},
      {"GET", "HTTP://b:81", "/", "", "b:81"},
      {"GET", "https://b/c?d", "/c", "d", "b"},
      {"GET", "http://b?d", "/", "d", "b"},
      {"GET", "http://[::1]:80/x", "/x", "", "[::1]:80"},
      {"OPTIONS", "*", "*", "", "a"},
      {"OPTIONS", "http://b", "*", "", "b"},
      {"OPTIONS", "http://b/", "/", "", "b"},
      {"OPTIONS", "/x", "/x", "", "a"},
      {"CONNECT", "b:443", "b:443", "", "b:443"},
      {"CONNECT", "[::1]:443", "[::1]:443", "", "[::1]:443"},
  };
  for (const auto& c : kValid) {
    const std::string bytes =
        std::string(c.method) + " " + std::string(c.target) + " HTTP/1.1\r\nHost: a\r\n\r\n";
    EXPECT_EQ(Result(bytes), kDone) << bytes;
    RequestHead head;
    RequestHeadParser parser;
    ASSERT_EQ(parser.Parse(bytes, {}, head), kDone) << bytes;
    EXPECT_EQ(head.path, c.path) << bytes;
    EXPECT_EQ(head.query, c.query) << bytes;
    EXPECT_EQ(head.host, c.host) << bytes;
  }
  for (std::string_view target : {"*",
                                  "a",
                                  "a/b",
                                  "?a",
                                  "http:",
                                  "http:/",
                                  "http://",
                                  "http:///a",
                                  "http://?a",
                                  "ftp://b/",
                                  "http//b",
                                  "://b",
                                  "http://u@b/",
                                  "http://u:p@b/",
                                  "http://b:x/",
                                  "http://b:70000/",
                                  "http://[b/",
                                  "http://[b]/",
                                  "http://b]/",
                                  "http://b:1:2/",
                                  "/a b",
                                  "/a\tb",
                                  "/#",
                                  "/a#b",
                                  "/\x7f",
                                  "/\xc3\xa4",
                                  "",
                                  " /",
                                  "b:443",
                                  "*a",
                                  "/ /"}) {
    EXPECT_EQ(Result(WithTarget(target)), kBad) << target;
  }
  for (std::string_view line : {"OPTIONS *?a", "OPTIONS **", "CONNECT /", "CONNECT *", "CONNECT b",
                                "CONNECT b:", "CONNECT http://b:1", "CONNECT u@b:1",
                                "CONNECT [::1]", "CONNECT :443", "options *"}) {
    EXPECT_EQ(Result(std::string(line) + " HTTP/1.1\r\nHost: a\r\n\r\n"), kBad) << line;
  }
}

TEST(RequestHeadParser, HoldsItsLimitsToTheByte) {
  HeadLimits limits;
  limits.head_bytes_max = 120;
  limits.target_bytes_max = 20;
  limits.fields_max = 3;
  EXPECT_EQ(Result(WithTarget("/" + std::string(19, 'a')), limits), kDone);
  EXPECT_EQ(Result(WithTarget("/" + std::string(20, 'a')), limits), HeadResult::kTargetTooLong);
  EXPECT_EQ(Result(WithTarget("/?" + std::string(18, 'a')), limits), kDone);
  EXPECT_EQ(Result(WithTarget("/?" + std::string(19, 'a')), limits), HeadResult::kTargetTooLong);
  EXPECT_EQ(Result(WithTarget("/" + std::string(20, 'a') + "\x01"), limits),
            HeadResult::kTargetTooLong);
  EXPECT_EQ(Result(WithTarget("/" + std::string(19, 'a') + "\x01"), limits), kBad);
  EXPECT_EQ(Result(WithField("A: b\r\nC: d"), limits), kDone);
  EXPECT_EQ(Result(WithField("A: b\r\nC: d\r\nE: f"), limits), HeadResult::kFieldsTooLarge);
  EXPECT_EQ(Result(WithField("A: b\r\nC: d\r\n E: f"), limits), kBad);
  const size_t fixed = WithField("A: ").size();
  EXPECT_EQ(Result(WithField("A: " + std::string(120 - fixed, 'b')), limits), kDone);
  EXPECT_EQ(Result(WithField("A: " + std::string(121 - fixed, 'b')), limits),
            HeadResult::kFieldsTooLarge);
  EXPECT_EQ(Result(WithField("A: " + std::string(300, 'b') + "\n"), limits),
            HeadResult::kFieldsTooLarge);
  limits.target_bytes_max = 500;
  EXPECT_EQ(Result(WithTarget("/" + std::string(200, 'a')), limits), HeadResult::kTargetTooLong);
  EXPECT_EQ(Result(std::string(32, 'M') + " / HTTP/1.1\r\nHost: a\r\n\r\n"), kDone);
  EXPECT_EQ(Result(std::string(33, 'M') + " / HTTP/1.1\r\nHost: a\r\n\r\n"),
            HeadResult::kNotImplemented);
}

TEST(RequestHeadParser, TakesAHundredFieldsByDefaultAndNotOneMore) {
  std::string lines;
  for (int i = 0; i < 98; i++) lines += "X: y\r\n";
  EXPECT_EQ(Result(WithField(lines + "A: b")), kDone);
  EXPECT_EQ(Result(WithField(lines + "A: b\r\nC: d")), HeadResult::kFieldsTooLarge);
}

TEST(RequestHead, FindsFieldsInAnyCaseAndWalksRepeatedOnes) {
  RequestHead head;
  RequestHeadParser parser;
  const std::string bytes = WithField("Accept: 1\r\nB: 2\r\nACCEPT: 3");
  ASSERT_EQ(parser.Parse(bytes, {}, head), kDone);
  EXPECT_EQ(head.Find("accept"), "1");
  EXPECT_EQ(head.Find("missing"), std::nullopt);
  EXPECT_EQ(head.FindIndex("Accept", 2), 3u);
  EXPECT_EQ(head.FindIndex("Accept", 4), head.field_count);
}

}  // namespace
}  // namespace ringmaster::http
