#include "protocols/http/service/http_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/engine/await.h"
#include "tests/protocols/http/service/session_fixture.h"

namespace ringmaster::http {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(HttpSessionTest, AnswersAndKeepsTheConnection) {
  server.Start();
  Client client = server.Connect();
  for (int i = 0; i < 3; i++) {
    client.Send(kGet);
    EXPECT_THAT(
        client.ReadResponse(),
        AllOf(StartsWith("HTTP/1.1 200 OK\r\nDate: "), HasSubstr("\r\nContent-Length: 5\r\n"),
              Not(HasSubstr("Connection")), EndsWith("\r\n\r\nHello")));
  }
}

TEST_F(HttpSessionTest, AnswersOneByteAtATimeLikeAWhole) {
  server.Start();
  Client client = server.Connect();
  for (char c : kGetAndClose) client.Send({&c, 1});
  EXPECT_THAT(client.ReadToEnd(), EndsWith("Connection: close\r\n\r\nHello"));
}

TEST_F(HttpSessionTest, AnswersPipelinedRequestsInOrder) {
  server.Start();
  std::string requests;
  for (int i = 0; i < 100; i++) {
    requests += "GET /users/" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n";
  }
  const std::string answers = server.Exchange(requests + std::string(kGetAndClose));
  size_t at = 0;
  for (int i = 0; i < 100; i++) {
    at = answers.find("\r\n\r\n" + std::to_string(i) + "|", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_EQ(CountOf(answers, "HTTP/1.1 200 OK"), 101);
}

TEST_F(HttpSessionTest, KeepsTheOrderWhenHandlersAnswerBackwards) {
  server.Start();
  const std::string later = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string answers = server.Exchange(
      later + std::string(kGet) + later + std::string(kGet) + later + std::string(kGetAndClose));
  const size_t first = answers.find("answer 1");
  const size_t second = answers.find("answer 2");
  const size_t third = answers.find("answer 3");
  ASSERT_NE(third, std::string::npos) << answers;
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_LT(first, answers.find("Hello"));
  EXPECT_LT(answers.find("Hello"), second);
  EXPECT_EQ(CountOf(answers, "HTTP/1.1 200 OK"), 6);
  EXPECT_THAT(answers, EndsWith("Hello"));
}

TEST_F(HttpSessionTest, AnswersFiveHundredForWhatWasForgotten) {
  server.Start();
  Client client = server.Connect();
  client.Send("GET /forgotten HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 500 "));
  client.Send("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 500 "));
  client.Send(kGet);
  EXPECT_THAT(client.ReadResponse(), EndsWith("Hello"));
}

TEST_F(HttpSessionTest, ADeferredAnswerOutlivesItsConnection) {
  wanted_pending = 1000;
  server.Start();
  {
    Client client = server.Connect();
    client.Send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n" + std::string(kGet));
    // The second answer cannot come in front of the first; the peer leaves.
  }
  Client other = server.Connect();
  other.Send(kGetAndClose);
  EXPECT_THAT(other.ReadToEnd(), EndsWith("Hello"));
  server.Run([this](Worker&) { AnswerBackwards(); });
}

TEST_F(HttpSessionTest, AThrowingHandlerCostsItsConnectionAlone) {
  server.Start();
  Client bystander = server.Connect();
  bystander.Send(kGet);
  bystander.ReadResponse();
  const std::string answer =
      server.Exchange("GET /throw HTTP/1.1\r\nHost: a\r\n\r\n" + std::string(kGet));
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 500 "), HasSubstr("Connection: close"),
                            Not(HasSubstr("Hello"))));
  EXPECT_THAT(server.Exchange("GET /inject HTTP/1.1\r\nHost: a\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 500 "), Not(HasSubstr("C: d"))));
  bystander.Send(kGet);
  EXPECT_THAT(bystander.ReadResponse(), EndsWith("Hello"));
}

TEST_F(HttpSessionTest, StreamsInChunksAndUntilTheEndForOldClients) {
  server.Start();
  Client client = server.Connect();
  client.Send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("0\r\n\r\n"),
              AllOf(HasSubstr("Transfer-Encoding: chunked\r\n"),
                    EndsWith("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")));
  EXPECT_THAT(server.Exchange("GET /stream HTTP/1.0\r\n\r\n"),
              AllOf(HasSubstr("Connection: close\r\n"), Not(HasSubstr("chunked")),
                    EndsWith("\r\n\r\nonetwo")));
}

TEST_F(HttpSessionTest, LeavesOutTheContentForHead) {
  server.Start();
  Client client = server.Connect();
  client.Send("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n" +
              std::string(kGet));
  EXPECT_THAT(client.ReadResponse(true), HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(client.ReadResponse(true), HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpSessionTest, SpeaksHttp10) {
  server.Start();
  EXPECT_THAT(server.Exchange("GET /hello HTTP/1.0\r\n\r\n"),
              EndsWith("Connection: close\r\n\r\nHello"));
  Client client = server.Connect();
  client.Send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), HasSubstr("Connection: keep-alive\r\n"));
  client.Send("GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_THAT(client.ReadToEnd(), EndsWith("Hello"));
}

TEST_F(HttpSessionTest, ReadsEveryPartOfARequest) {
  server.Start();
  Client client = server.Connect();
  client.Send(
      "GET /x/../users/%41b?p=1&q=a%20b HTTP/1.1\r\nHost: a\r\nX-Y: z\r\nCookie: b=1\r\nCookie: "
      "c=2\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\nAb|a b|z|2"));
}

TEST_F(HttpSessionTest, AnswersEarlierRequestsBeforeARefusal) {
  server.Start();
  const std::string answer =
      server.Exchange(std::string(kGet) + "GET / HTTP/1.1\r\n\n" + std::string(kGet));
  EXPECT_EQ(CountOf(answer, "HTTP/1.1 200"), 1);
  EXPECT_EQ(CountOf(answer, "HTTP/1.1 400"), 1);
  EXPECT_LT(answer.find("200"), answer.find("400"));
}

TEST_F(HttpSessionTest, KnowsWhatAPathCanDo) {
  server.Start();
  Client client = server.Connect();
  client.Send("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 404 "));
  client.Send("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(),
              AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: GET, HEAD, OPTIONS\r\n")));
  client.Send("OPTIONS /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(),
              AllOf(StartsWith("HTTP/1.1 204 "), HasSubstr("Allow: GET, HEAD, OPTIONS\r\n")));
  client.Send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 204 "));
  client.Send("BREW /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 501 "));
  client.Send("get /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 501 "));
  client.Send("TRACE /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 405 "));
  client.Send("BREW /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntea");
  EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\ntea"));
}

TEST_F(HttpSessionTest, ClosesIdleConnectionsAndFinishesOthersWhenItStops) {
  wanted_pending = 1000;
  server.Start();
  Client idle = server.Connect();
  idle.Send(kGet);
  idle.ReadResponse();
  Client busy = server.Connect();
  busy.Send(std::string(kGet) + "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
  busy.ReadResponse();
  server.BeginStop();
  EXPECT_EQ(idle.ReadToEnd(), "");
  server.Run([this](Worker&) { AnswerBackwards(); });
  EXPECT_THAT(busy.ReadToEnd(), AllOf(HasSubstr("Connection: close\r\n"), EndsWith("answer 1")));
}

TEST_F(HttpSessionTest, LogsAccesses) {
  std::string log;
  server.service.access_log = [&log](const AccessRecord& record) {
    log += std::string(record.method) + " " + std::string(record.target) + " " +
           std::to_string(record.status) + " " + std::to_string(record.body_bytes) + "\n";
  };
  wanted_pending = 1;
  server.Start();
  server.Exchange(std::string(kGet) + "GET /later?x HTTP/1.1\r\nHost: a\r\n\r\nBAD\r\n\r\n");
  server.Stop();
  EXPECT_EQ(log, "GET /hello 200 5\nGET /later?x 200 8\n- - 400 16\n");
}

TEST_F(HttpSessionTest, EndsWhenThePeerEndsAndAnswersWhatCameBefore) {
  server.Start();
  Client client = server.Connect();
  client.Send(kGet);
  client.EndOutput();
  EXPECT_THAT(client.ReadToEnd(), EndsWith("Hello"));
  Client incomplete = server.Connect();
  incomplete.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  incomplete.EndOutput();
  EXPECT_THAT(incomplete.ReadToEnd(), Not(HasSubstr("200")));
}

class LimitedSessionTest : public HttpSessionTest {
 protected:
  static ServiceOptions Options() {
    ServiceOptions options;
    options.pipelined_requests_max = 2;
    options.requests_per_connection_max = 5;
    return options;
  }
  LimitedSessionTest() : HttpSessionTest(Options()) {}
};

TEST_F(LimitedSessionTest, HoldsInputBackAboveThePipelineLimit) {
  wanted_pending = 2;
  server.Start();
  const std::string later = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
  // Answers come by twos: the third request is given to its handler only after the first two.
  const std::string answers =
      server.Exchange(later + later + later + later + std::string(kGet) + later);
  EXPECT_EQ(CountOf(answers, "answer 1"), 2);
  EXPECT_EQ(CountOf(answers, "answer 2"), 2);
  EXPECT_EQ(CountOf(answers, "HTTP/1.1 200"), 5);
  EXPECT_THAT(answers, AllOf(HasSubstr("Connection: close"), EndsWith("Hello")));
}

TEST(HttpTimeouts, EndARequestThatDoesNotComeWith408) {
  StreamOptions stream;
  stream.timeouts.header = std::chrono::milliseconds(50);
  stream.timeouts.body = std::chrono::milliseconds(50);
  stream.timeouts.read = std::chrono::milliseconds(100);
  LiveServer server({}, stream);
  ASSERT_TRUE(server.service.Post("/", [](Request&, Response& response) { response.End(); }).ok());
  server.Start();
  EXPECT_THAT(server.Exchange("GET / HT"), StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(server.Exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na"),
              StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(
      server.Exchange("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na"),
      StartsWith("HTTP/1.1 408 "));
  Client idle = server.Connect();
  idle.Send("POST / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(idle.ReadToEnd(), AllOf(StartsWith("HTTP/1.1 200 "), Not(HasSubstr("408"))));
}

// A head alone, with content announced and none sent, once had no deadline at all.
TEST(HttpTimeouts, EndContentOfWhichNoByteCame) {
  StreamOptions stream;
  stream.timeouts.body = std::chrono::milliseconds(50);
  stream.timeouts.read = std::chrono::seconds(60);
  LiveServer server({}, stream);
  ASSERT_TRUE(server.service.Post("/", [](Request&, Response& response) { response.End(); }).ok());
  ASSERT_TRUE(server.service
                  .StreamingRoute("POST", "/streamed",
                                  [](Request&, Response& response, BodyStream& body) {
                                    auto pending =
                                        std::make_shared<PendingResponse>(response.Defer());
                                    body.on_end = [pending](std::string_view) {
                                      pending->With([](Response& later) { later.Text("all"); });
                                    };
                                  })
                  .ok());
  server.Start();
  const std::string chunked = " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_THAT(server.Exchange("POST /" + chunked), StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(server.Exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"),
              StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(server.Exchange("POST /streamed" + chunked), StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(server.Exchange("POST /streamed" + chunked +
                              "2\r\nab\r\n0\r\n\r\nGET / HTTP/1.1\r\n"
                              "Host: a\r\nConnection: close\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("all")));
}

// A byte now and then would keep a body within its total for a minute.
TEST(HttpTimeouts, EndABodyThatIsSlowerThanItsMinimumRate) {
  StreamOptions stream;
  stream.timeouts.body = std::chrono::seconds(60);
  stream.body_grace = std::chrono::milliseconds(50);
  stream.body_rate_bytes_min = 1000;
  LiveServer server({}, stream);
  ASSERT_TRUE(server.service.Post("/", [](Request&, Response& response) { response.End(); }).ok());
  server.Start();
  // 100 bytes at 1000 a second and the grace: 150 ms, whatever the total allows.
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(server.Exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\n" +
                              std::string(100, 'x')),
              StartsWith("HTTP/1.1 408 "));
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_GE(took, std::chrono::milliseconds(50));
  EXPECT_LT(took, std::chrono::seconds(10));
}

// A route's own bounds were in force only while its content was received: its write and read
// timeouts never counted.
TEST(HttpTimeouts, OfARouteAreInForceUntilTheNextHeadBegins) {
  StreamOptions listener;
  listener.timeouts.read = std::chrono::seconds(60);
  StreamOptions own = listener;
  own.timeouts.read = std::chrono::milliseconds(50);
  LiveServer server({}, listener);
  // By the time a request is handled; the connection's own options, by their read timeout.
  const auto tell = [](Request& request, Response& response) {
    const Duration read = request.connection().options().timeouts.read;
    response.Text(std::to_string(read / std::chrono::milliseconds(1)));
  };
  ASSERT_TRUE(server.service.Any("/plain", tell).ok());
  RouteOptions options;
  options.stream = own;
  ASSERT_TRUE(server.service.Any("/own", tell, options).ok());
  server.Start();
  const auto request = [](std::string_view method, std::string_view path, std::string_view rest) {
    return std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" +
           std::string(rest);
  };
  Client client = server.Connect();
  const std::string length = "Content-Length: 2\r\n\r\nab";
  const std::string chunked = "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
  // One after the other, all at once, and with content that comes later.
  for (const std::string& rest : {std::string("\r\n"), length, chunked}) {
    const std::string method = rest.size() > 2 ? "POST" : "GET";
    const std::string both = request(method, "/own", rest) + request(method, "/plain", rest);
    client.Send(both + both);
    for (const std::string_view read : {"50", "60000", "50", "60000"}) {
      EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\n" + std::string(read))) << rest;
    }
  }
  client.Send(request("POST", "/own", length.substr(0, length.size() - 1)));
  client.Send("b");
  EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\n50"));
  // Idle behind /own: its timeout, although the listener's is a minute.
  EXPECT_EQ(client.ReadToEnd(), "");
  EXPECT_EQ(server.counters->closed_by_reason[static_cast<int>(CloseReason::kReadTimeout)].Get(),
            1u);
}

TEST(HttpTimeouts, OfARouteBoundAnAnswerThatIsNotTaken) {
  StreamOptions listener;
  listener.timeouts.write = std::chrono::seconds(60);
  LiveServer server({}, listener);
  const auto content = std::make_shared<const std::string>(32u << 20, 'x');
  RouteOptions options;
  options.stream = listener;
  options.stream->timeouts.write = std::chrono::milliseconds(50);
  ASSERT_TRUE(server.service
                  .Get(
                      "/large",
                      [&](Request&, Response& response) {
                        response.SharedBody("text/plain", *content, content);
                      },
                      options)
                  .ok());
  server.Start();
  Client client = server.Connect();
  // Another head that begins takes nothing of that deadline away.
  client.Send("GET /large HTTP/1.1\r\nHost: a\r\n\r\nGET / HT");
  Counter& expired =
      server.counters->closed_by_reason[static_cast<int>(CloseReason::kWriteTimeout)];
  const auto start = std::chrono::steady_clock::now();
  while (expired.Get() == 0 && std::chrono::steady_clock::now() - start < std::chrono::seconds(10))
    std::this_thread::yield();
  EXPECT_EQ(expired.Get(), 1u);
}

// A client that had not asked for the end may have sent its next request already. The connection
// was closed at once where nothing of that was there yet: the reset could take the answer along.
TEST(HttpClose, ByTheServerWaitsForTheClientsEnd) {
  ServiceOptions options;
  options.requests_per_connection_max = 1;
  LiveServer server(options);
  server.Start();
  for (const char* const request : {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
                                    "GET /missing HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    Client client = server.Connect();
    client.Send(request);
    EXPECT_THAT(client.ReadToEnd(), HasSubstr("Connection: close"));
    // With a reset on its way the second one could not be sent.
    const uint64_t before = server.counters->bytes_received.Get();
    client.Send("x");
    Await([&] { return server.counters->bytes_received.Get() == before + 1; });
    client.Send("y");
    Await([&] { return server.counters->bytes_received.Get() == before + 2; });
  }
}

// An answer that took longer than the read timeout was lost: the connection was idle in the
// engine's eyes.
TEST(HttpTimeouts, DoNotEndAConnectionWhoseAnswerIsStillBeingMade) {
  StreamOptions stream;
  stream.timeouts.handshake = std::chrono::milliseconds(50);
  stream.timeouts.read = std::chrono::milliseconds(50);
  LiveServer server({}, stream);
  ASSERT_TRUE(server.service
                  .Get("/slow",
                       [](Request& request, Response& response) {
                         auto pending = std::make_shared<PendingResponse>(response.Defer());
                         request.connection().worker().AddTimer(
                             std::chrono::milliseconds(250), Duration::zero(), [pending] {
                               pending->With([](Response& later) { later.Text("at last"); });
                             });
                       })
                  .ok());
  server.Start();
  Client client = server.Connect();
  client.Send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  // The read timeout runs again behind the answer and ends the connection.
  EXPECT_THAT(client.ReadToEnd(), AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("at last")));
}

}  // namespace
}  // namespace ringmaster::http
