#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/protocols/http/codec/head_parsing.h"

namespace ringmaster::http {
namespace {

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

}  // namespace
}  // namespace ringmaster::http
