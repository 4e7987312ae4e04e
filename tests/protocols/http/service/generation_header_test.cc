// ServiceOptions::generation_header: which generation of the worker answers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "protocols/http/codec/generation_header.h"
#include "tests/protocols/http/service/session_fixture.h"

namespace ringmaster::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class GenerationHeaderTest : public HttpSessionTest {
 protected:
  GenerationHeaderTest() : HttpSessionTest({.generation_header = "X-Generation"}) {}
};

TEST_F(GenerationHeaderTest, StandsInEveryAnswer) {
  server.Start();
  Client client = server.Connect();
  for (const std::string_view path : {"/hello", "/stream", "/nothing", "/throw"}) {
    client.Send("GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n");
    const std::string head = client.ReadUntil("\r\n\r\n");
    EXPECT_EQ(CountOf(head, "\r\nX-Generation: 1\r\n"), 1) << head;
    EXPECT_EQ(CountOf(head, "\r\nDate: "), 1) << head;
    if (path == "/stream") {
      client.ReadUntil("0\r\n\r\n");
    } else {
      client.ReadUntil(path == "/hello" ? "Hello" : "\n");
    }
  }
  EXPECT_THAT(server.Exchange("nonsense\r\n\r\n"), HasSubstr("\r\nX-Generation: 1\r\n"));
}

TEST_F(HttpSessionTest, HasNoGenerationHeaderUnlessItIsAskedFor) {
  server.Start();
  EXPECT_THAT(server.Exchange(kGetAndClose), Not(HasSubstr("Generation")));
}

TEST(GenerationHeader, IsAFieldNameThatNobodyElseSends) {
  for (const char* right : {"", "X-Generation", "x", "Server-Timing"}) {
    EXPECT_EQ(GenerationHeaderError(right), "");
  }
  EXPECT_EQ(GenerationHeaderError(std::string(64, 'x')), "");
  for (const char* wrong : {"X Generation", "X-Generation:", "X\r\nY", "\xc3\xa4"}) {
    EXPECT_THAT(GenerationHeaderError(wrong), StartsWith("expected a header name, such as"));
  }
  for (const char* taken : {"Date", "date", "CONTENT-LENGTH", "Upgrade", "Sec-WebSocket-Accept"}) {
    EXPECT_THAT(GenerationHeaderError(taken),
                testing::AllOf(HasSubstr("does not send itself"), HasSubstr(taken)));
  }
  EXPECT_THAT(GenerationHeaderError(std::string(65, 'x')), HasSubstr("at most 64"));
}

}  // namespace
}  // namespace ringmaster::http
