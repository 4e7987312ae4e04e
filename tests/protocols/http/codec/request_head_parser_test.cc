#include "protocols/http/codec/request_head_parser.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace ringmaster::http {
namespace {

constexpr HeadResult kDone = HeadResult::kDone;
constexpr HeadResult kIncomplete = HeadResult::kIncomplete;
constexpr HeadResult kBad = HeadResult::kBadRequest;

// What a caller can see of an outcome.
struct Outcome {
  HeadResult result = kIncomplete;
  std::string seen;

  bool operator==(const Outcome&) const = default;
};

std::string Describe(const RequestHead& head) {
  std::string text;
  for (std::string_view part : {head.method, head.target, head.path, head.query, head.host}) {
    text.append(part).append("|");
  }
  text += std::to_string(head.version_minor) + (head.keep_alive ? "K" : "C") +
          (head.expect_continue ? "E" : "-") + std::to_string(static_cast<int>(head.body_framing)) +
          "/" + std::to_string(head.content_length) + "/" + std::to_string(head.head_bytes);
  for (uint32_t i = 0; i < head.field_count; i++) {
    text.append("\n").append(head.fields[i].name).append("=").append(head.fields[i].value);
  }
  return text;
}

// Feeds growing prefixes of `bytes`, each in memory of its own, so that a view kept from an earlier
// call is a use after free. Stops at the first outcome; `ends` must increase.
Outcome Feed(std::string_view bytes, const std::vector<size_t>& ends, const HeadLimits& limits) {
  static RequestHead head;
  RequestHeadParser parser;
  for (size_t end : ends) {
    auto copy = std::make_unique<char[]>(end + 1);
    bytes.copy(copy.get(), end);
    const HeadResult result = parser.Parse({copy.get(), end}, limits, head);
    if (result == kDone) return {result, Describe(head)};
    if (result != kIncomplete) return {result, ""};
  }
  return {};
}

// The outcome of `bytes`, after checking that it is the same whole, in two pieces and byte by byte.
Outcome Parse(std::string_view bytes, const HeadLimits& limits = {}) {
  const Outcome whole = Feed(bytes, {bytes.size()}, limits);
  std::vector<size_t> every;
  for (size_t i = 1; i <= bytes.size(); i++) every.push_back(i);
  EXPECT_EQ(Feed(bytes, every, limits), whole) << "byte by byte: " << bytes;
  if (bytes.size() < 2000) {
    for (size_t i = 0; i <= bytes.size(); i++) {
      EXPECT_EQ(Feed(bytes, {i, bytes.size()}, limits), whole) << "cut at " << i << ": " << bytes;
    }
  }
  return whole;
}

HeadResult Result(std::string_view bytes, const HeadLimits& limits = {}) {
  return Parse(bytes, limits).result;
}

std::string WithField(std::string_view line) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(line) + "\r\n\r\n";
}
std::string WithTarget(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n";
}
std::string WithHost(std::string_view host) {
  return "GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n";
}

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

TEST(RequestHeadParser, WantsOneWellFormedHost) {
  for (std::string_view host :
       {"a", "A.b-c.", "a:80", "a:", "a:65535", "a:00080", "127.0.0.1", "127.0.0.1:1", "[::1]",
        "[::1]:80", "[::ffff:1.2.3.4]", "a_b", "a%20b", "a!$&'()*+,;=~", "\ta", "a \t"}) {
    EXPECT_EQ(Result(WithHost(host)), kDone) << host;
  }
  for (std::string_view host : {"",
                                " ",
                                ":80",
                                "a:b",
                                "a:-1",
                                "a:+1",
                                "a:65536",
                                "a:000000080",
                                "a:80:80",
                                "a:80 ,b",
                                "a b",
                                "a/b",
                                "a?b",
                                "a#b",
                                "u@a",
                                "u:p@a",
                                "a\\b",
                                "[::1",
                                "::1]",
                                "[]",
                                "[g]",
                                "[::1]a",
                                "[::1]:a",
                                "[::1]:65536",
                                "[1.2.3.4]",
                                "[::1%25eth0]",
                                "a%2",
                                "a%zz",
                                "a%",
                                "a,\"b\"",
                                "\xc3\xa4",
                                "http://a",
                                "[1:2:3:4:5:6:7:8:9]",
                                "a,b:x",
                                "[[::1]]",
                                "<a>"}) {
    EXPECT_EQ(Result(WithHost(host)), kBad) << host;
  }
  EXPECT_EQ(Result("GET / HTTP/1.1\r\n\r\n"), kBad);
  EXPECT_EQ(Result("GET http://b/ HTTP/1.1\r\n\r\n"), kBad);
  EXPECT_EQ(Result("GET / HTTP/1.0\r\n\r\n"), kDone);
  EXPECT_EQ(Result("GET / HTTP/1.0\r\nHost: @\r\n\r\n"), kBad);
  EXPECT_EQ(Result(WithField("Host: a")), kBad);
  EXPECT_EQ(Result(WithField("hOST: b")), kBad);
  EXPECT_EQ(Result("GET http://b/ HTTP/1.1\r\nHost: @\r\n\r\n"), kBad);
}

TEST(RequestHeadParser, WantsOneExactContentLength) {
  for (std::string_view value : {"0", "1", "00", "0005", "18446744073709551615", "\t5\t"}) {
    EXPECT_EQ(Result(WithField("Content-Length: " + std::string(value))), kDone) << value;
  }
  for (std::string_view value : {"",
                                 " ",
                                 "+5",
                                 "-5",
                                 "-0",
                                 "5 5",
                                 "5,5",
                                 "5, 5",
                                 "5,",
                                 ",5",
                                 "0x5",
                                 "5a",
                                 "a",
                                 "5.0",
                                 "5e1",
                                 "1_0",
                                 "\"5\"",
                                 "5;",
                                 "18446744073709551616",
                                 "99999999999999999999",
                                 "184467440737095516150",
                                 "5\t6",
                                 "\xd9\xa5",
                                 "'5'",
                                 "5\v"}) {
    EXPECT_EQ(Result(WithField("Content-Length: " + std::string(value))), kBad) << value;
  }
  EXPECT_EQ(Result(WithField("Content-Length: 5\r\nContent-Length: 5")), kBad);
  EXPECT_EQ(Result(WithField("Content-Length: 5\r\nContent-Length: 6")), kBad);
  EXPECT_EQ(Result(WithField("Content-Length: 5\r\ncontent-length: 5")), kBad);
  EXPECT_EQ(Result(WithField("Content_Length: x")), kDone);
}

TEST(RequestHeadParser, WantsChunkedAloneAsTransferCoding) {
  const struct {
    std::string_view lines;
    HeadResult result;
  } kCases[] = {
      {"Transfer-Encoding: chunked", kDone},
      {"transfer-encoding:CHUNKED", kDone},
      {"Transfer-Encoding: gzip, chunked", HeadResult::kNotImplemented},
      {"Transfer-Encoding: foo , Chunked", HeadResult::kNotImplemented},
      {"Transfer-Encoding: identity, chunked", HeadResult::kNotImplemented},
      {"Transfer-Encoding: gzip", kBad},
      {"Transfer-Encoding: identity", kBad},
      {"Transfer-Encoding: chunked, gzip", kBad},
      {"Transfer-Encoding: chunked, chunked", kBad},
      {"Transfer-Encoding: chunked,", kBad},
      {"Transfer-Encoding: ,chunked", kBad},
      {"Transfer-Encoding: , chunked", kBad},
      {"Transfer-Encoding:", kBad},
      {"Transfer-Encoding: chunked;q=1", kBad},
      {"Transfer-Encoding: xchunked", kBad},
      {"Transfer-Encoding: chunkedx", kBad},
      {"Transfer-Encoding: \"chunked\"", kBad},
      {"Transfer-Encoding: chun ked", kBad},
      {"Transfer-Encoding: \vchunked", kBad},
      {"Transfer-Encoding : chunked", kBad},
      {"Transfer-Encoding\t: chunked", kBad},
      {" Transfer-Encoding: chunked", kBad},
      {"Transfer-Encoding:\r\n chunked", kBad},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", kBad},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", kBad},
      {"Transfer-Encoding: chunked\r\nContent-Length: 5", kBad},
      {"Content-Length: 5\r\nTransfer-Encoding: chunked", kBad},
      {"Content-Length: 0\r\nTransfer-Encoding: gzip, chunked", kBad},
  };
  for (const auto& c : kCases) EXPECT_EQ(Result(WithField(c.lines)), c.result) << c.lines;
  EXPECT_EQ(Result("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), kBad);
}

TEST(RequestHeadParser, RefusesFoldingAndBlanksAroundNames) {
  for (std::string_view lines :
       {"A: b\r\n c", "A: b\r\n\tc", "A : b",  "A\t: b",    " A: b",    "\tA: b",
        ": b",        "A",           "A b",    "A: b\r\n:", "A:\r\n b", "A: b\nC: d",
        "A: b\rC: d", "A: b\n",      "A: b\r", "A\r\n: b",  "A(: b",    "A@: b",
        "A[]: b",     "\"A\": b",    "A/B: c", "\x80: b",   "{A}: b"}) {
    EXPECT_EQ(Result(WithField(lines)), kBad) << lines;
  }
  for (std::string_view lines :
       {"A:", "A:b", "A:\t b \t", "A: b: c", "A: \x80\xff", "A: \"b\\", "a!#$%&'*+-.^_`|~9: b"}) {
    EXPECT_EQ(Result(WithField(lines)), kDone) << lines;
  }
  EXPECT_EQ(Result("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), kBad);
  EXPECT_EQ(Result("GET / HTTP/1.1\nHost: a\r\n\r\n"), kBad);
}

TEST(RequestHeadParser, DecidesAboutKeepAlive) {
  const auto keeps = [](std::string_view version, std::string_view lines) {
    RequestHead head;
    RequestHeadParser parser;
    const std::string bytes =
        "GET / HTTP/" + std::string(version) + "\r\nHost: a\r\n" + std::string(lines) + "\r\n";
    EXPECT_EQ(Result(bytes), kDone) << bytes;
    EXPECT_EQ(parser.Parse(bytes, {}, head), kDone) << bytes;
    return head.keep_alive;
  };
  EXPECT_TRUE(keeps("1.1", ""));
  EXPECT_TRUE(keeps("1.1", "Connection: upgrade\r\n"));
  EXPECT_TRUE(keeps("1.1", "Connection: closed\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: close\r\n"));
  EXPECT_FALSE(keeps("1.1", "connection:CLOSE\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: a, \tcLose ,b\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: keep-alive, close\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: ,close\r\n"));
  EXPECT_FALSE(
      keeps("1.1", "Connection: upgrade\r\nConnection: close\r\nConnection: keep-alive\r\n"));
  EXPECT_FALSE(keeps("1.0", ""));
  EXPECT_TRUE(keeps("1.0", "Connection: Keep-Alive\r\n"));
  EXPECT_TRUE(keeps("1.0", "Connection: foo, keep-alive\r\n"));
  EXPECT_FALSE(keeps("1.0", "Connection: keep-alive\r\nConnection: close\r\n"));
}

TEST(RequestHeadParser, KnowsOneExpectation) {
  EXPECT_EQ(Result(WithField("Expect: 100-continue")), kDone);
  EXPECT_EQ(Result(WithField("Expect: 100-continue\r\nExpect: 100-continue")), kDone);
  for (std::string_view value : {"", "100", "100-continue, x", "200-ok", "100-continue;a=b"}) {
    EXPECT_EQ(Result(WithField("Expect: " + std::string(value))), HeadResult::kExpectationFailed)
        << value;
  }
  EXPECT_EQ(Result("GET / HTTP/1.0\r\nExpect: x\r\n\r\n"), kDone);
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
