#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/protocols/http/service/session_fixture.h"

namespace ringmaster::http {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(HttpSessionTest, RefusesWithTheRightStatusAndReadsNothingBehind) {
  server.Start();
  const struct {
    std::string request;
    std::string_view status;
  } kCases[] = {
      {"GET /hello HTTP/1.1\r\n\r\n", "400"},
      {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", "414"},
      {"GET / HTTP/1.1\r\nHost: a\r\nA: " + std::string(20000, 'a') + "\r\n\r\n", "431"},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
      {"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", "417"},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501"},
      {"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "501"},
      {"POST /required HTTP/1.1\r\nHost: a\r\n\r\n", "411"},
      {"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", "413"},
      {"POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n", "413"},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
       "400"},
      {"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
       "400"},
      {"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "405"},
      {"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", "404"},
      {"POST /unwanted HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
       "403"},
  };
  for (const auto& c : kCases) {
    const std::string answer = server.Exchange(c.request + std::string(kGet));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + std::string(c.status))) << c.request;
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n")) << c.request;
    EXPECT_EQ(CountOf(answer, "HTTP/1.1 "), 1) << c.request;
  }
}

TEST_F(HttpSessionTest, CollectsContentHoweverItIsCut) {
  server.Start();
  for (std::string_view request :
       {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\nHello, World!",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nHello, "
        "\r\n6;a=b\r\nWorld!\r\n0\r\nX: y\r\n\r\n",
        "\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nd\r\nHello, "
        "World!\r\n0\r\n\r\n"}) {
    Client whole = server.Connect();
    whole.Send(request);
    EXPECT_THAT(whole.ReadResponse(), EndsWith("\r\n\r\nHello, World!")) << request;
    Client bytewise = server.Connect();
    for (char c : request) bytewise.Send({&c, 1});
    bytewise.Send(kGetAndClose);
    EXPECT_THAT(bytewise.ReadToEnd(),
                AllOf(HasSubstr("\r\n\r\nHello, World!HTTP"), EndsWith("Hello")))
        << request;
  }
}

TEST_F(HttpSessionTest, ReadsTrailersAndJson) {
  server.Start();
  Client client = server.Connect();
  client.Send(
      "POST /trailer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nX: "
      "y\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\nb|y"));
  client.Send("POST /json HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n{\"a\":42}");
  EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\n42"));
  client.Send("POST /json HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{\"a");
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 400 "));
}

TEST_F(HttpSessionTest, StreamsContentToTheRoute) {
  server.Start();
  Client client = server.Connect();
  client.Send("POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n");
  client.Send("2\r\ncd\r\n0\r\nX: y\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\nbcd|X: y\r\n"));
  client.Send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" +
              std::string(kGet));
  EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\nabc|"));
  EXPECT_THAT(client.ReadResponse(), EndsWith("Hello"));
  client.Send("POST /upload HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\n|"));
  // Answered early: the content is read past, and the connection goes on.
  client.Send("POST /unwanted HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 403 "));
  client.Send("abc" + std::string(kGet));
  EXPECT_THAT(client.ReadResponse(), EndsWith("Hello"));
}

TEST_F(HttpSessionTest, SendsAHundredContinueOnlyWhenItWillRead) {
  server.Start();
  Client client = server.Connect();
  client.Send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("ab");
  EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\nab"));
  client.Send(
      "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("ab");
  EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\nab|"));
  // The same when the content comes along: the outcome does not depend on the cuts.
  client.Send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab");
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\nab"));
  client.Send(
      "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(client.ReadToEnd(), StartsWith("HTTP/1.1 413 "));
  Client other = server.Connect();
  other.Send(
      "POST /unwanted HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(other.ReadToEnd(),
              AllOf(StartsWith("HTTP/1.1 403 "), HasSubstr("Connection: close\r\n")));
}

}  // namespace
}  // namespace ringmaster::http
