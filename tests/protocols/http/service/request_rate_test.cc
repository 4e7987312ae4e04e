// More requests than allowed: 429 before anything is done for them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <string>
#include <string_view>

#include "protocols/http/service/http_counters.h"
#include "tests/protocols/http/service/session_fixture.h"

namespace ringmaster::http {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Three at once; the next one in a thousand seconds.
constexpr RateLimit kThree{.per_second = 0.001, .burst = 3};

StreamOptions StreamWith(const RateLimit& rate) {
  StreamOptions stream;
  stream.request_rate = rate;
  return stream;
}

class RateServer : public LiveServer {
 public:
  explicit RateServer(const RateLimit& rate) : LiveServer({}, StreamWith(rate)) {
    Add("GET", "/hello", {});
    Add("POST", "/echo", {});
  }
  ~RateServer() { Stop(); }

  void Add(std::string_view method, std::string_view path, RouteOptions options) {
    const absl::Status status = service.Route(
        method, path,
        [this](Request& request, Response& response) {
          ++handled;
          response.Text("got " + std::string(request.body()));
        },
        std::move(options));
    EXPECT_TRUE(status.ok()) << status;
  }
  uint64_t Refused() const { return counters->request_rate_limited.Get(); }

  int handled = 0;  // read after Stop
};

std::string Gets(int count) {
  std::string gets;
  for (int i = 0; i < count; ++i) gets += kGet;
  return gets;
}

TEST(RequestRate, AnswersWhatIsAboveItWith429AndGoesOn) {
  RateServer server(kThree);
  server.Start();
  Client client = server.Connect();
  client.Send(Gets(3));
  for (int i = 0; i < 3; ++i) EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 200"));
  client.Send(kGet);
  EXPECT_THAT(client.ReadResponse(),
              AllOf(StartsWith("HTTP/1.1 429 Too Many Requests\r\n"),
                    HasSubstr("\r\nRetry-After: 1000\r\n"), Not(HasSubstr("Connection: close"))));
  // The connection stays; others have buckets of their own.
  client.Send(kGet);
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 429"));
  EXPECT_THAT(server.Exchange(kGetAndClose), StartsWith("HTTP/1.1 200"));
  server.Stop();
  EXPECT_EQ(server.handled, 4);
  EXPECT_EQ(server.Refused(), 2u);
  EXPECT_EQ(server.counters->protocol[HttpCounters::Get().refused_429].Get(), 2u);
}

TEST(RequestRate, ServesAgainWhenTimeHasPassed) {
  RateServer server({.per_second = 20, .burst = 1});
  server.Start();
  Client client = server.Connect();
  int served = 0;
  int refused = 0;
  while (served < 5) {
    client.Send(kGet);
    const std::string answer = client.ReadResponse();
    if (answer.starts_with("HTTP/1.1 200")) {
      ++served;
    } else {
      ASSERT_THAT(answer, AllOf(StartsWith("HTTP/1.1 429"), HasSubstr("Retry-After: 1\r\n")));
      ++refused;
      // One that hammers would be closed.
      if (refused % 5 == 0) poll(nullptr, 0, 50);
    }
  }
  EXPECT_GT(refused, 0);
}

TEST(RequestRate, CountsEveryRequestAlsoThoseWithoutARoute) {
  RateServer server(kThree);
  server.Start();
  const std::string answers = server.Exchange(
      "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"
      "DELETE /hello HTTP/1.1\r\nHost: a\r\n\r\n" +
      std::string(kGetAndClose));
  EXPECT_EQ(CountOf(answers, "HTTP/1.1 404"), 2);
  EXPECT_EQ(CountOf(answers, "HTTP/1.1 405"), 1);
  EXPECT_EQ(CountOf(answers, "HTTP/1.1 429"), 1);
  EXPECT_THAT(answers, HasSubstr("Connection: close"));
}

TEST(RequestRate, CountsARequestWithContentOnceHoweverItIsCut) {
  const std::string post = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd";
  const std::string chunked =
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n";
  for (const std::string& request : {post, chunked}) {
    RateServer server(kThree);
    server.Start();
    Client client = server.Connect();
    uint64_t sent = 0;
    for (int i = 0; i < 3; ++i) {
      for (const char c : request) {
        client.Send({&c, 1});
        ++sent;
        // Each byte is read on its own.
        while (server.counters->bytes_received.Get() < sent) sched_yield();
      }
      EXPECT_THAT(client.ReadResponse(), EndsWith("got abcd")) << i;
    }
    // Content that is refused is not read: the connection ends.
    client.Send(request);
    EXPECT_THAT(client.ReadToEnd(), AllOf(StartsWith("HTTP/1.1 429"), HasSubstr("Retry-After: "),
                                          HasSubstr("Connection: close")));
  }
}

TEST(RequestRate, RefusesBeforeContentIsAskedFor) {
  RateServer server(kThree);
  server.Start();
  const std::string answers = server.Exchange(
      Gets(3) +
      "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_THAT(answers, AllOf(HasSubstr("HTTP/1.1 429"), Not(HasSubstr("100 Continue"))));
}

TEST(RequestRate, OfARouteIsCountedApart) {
  RateServer server(kThree);
  RouteOptions one;
  one.stream = StreamWith({.per_second = 0.001, .burst = 1});
  server.Add("GET", "/one", one);
  RouteOptions unlimited;
  unlimited.stream = StreamWith({});
  server.Add("GET", "/free", unlimited);
  RouteOptions same;
  same.stream = StreamWith(kThree);
  server.Add("GET", "/same", same);
  server.Start();
  Client client = server.Connect();
  const auto status = [&](std::string_view path) {
    client.Send("GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n");
    return client.ReadResponse().substr(9, 3);
  };
  EXPECT_EQ(status("/one"), "200");
  EXPECT_EQ(status("/one"), "429");
  // A route that says what the listener says has no bucket of its own.
  EXPECT_EQ(status("/hello"), "200");
  EXPECT_EQ(status("/same"), "200");
  EXPECT_EQ(status("/hello"), "200");
  EXPECT_EQ(status("/same"), "429");
  EXPECT_EQ(status("/hello"), "429");
  EXPECT_EQ(status("/one"), "429");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(status("/free"), "200");
}

TEST(RequestRate, OfARouteAloneLeavesTheOthersFree) {
  RateServer server({});
  RouteOptions one;
  one.stream = StreamWith({.per_second = 0.001, .burst = 1});
  server.Add("GET", "/one", one);
  server.Start();
  const std::string get_one = "GET /one HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string answers =
      server.Exchange(get_one + get_one + Gets(20) + std::string(kGetAndClose));
  EXPECT_EQ(CountOf(answers, "HTTP/1.1 200"), 22);
  EXPECT_EQ(CountOf(answers, "HTTP/1.1 429"), 1);
}

TEST(RequestRate, ClosesAConnectionThatHammers) {
  RateServer server(kThree);
  server.Start();
  // Ten bursts of refusals are answered, the next is the last.
  const std::string answers = server.Exchange(Gets(100));
  EXPECT_EQ(CountOf(answers, "HTTP/1.1 200"), 3);
  EXPECT_EQ(CountOf(answers, "HTTP/1.1 429"), 31);
  EXPECT_EQ(CountOf(answers, "Connection: close"), 1);
  server.Stop();
  EXPECT_EQ(server.counters->closed_by_reason[static_cast<int>(CloseReason::kLimit)].Get(), 1u);
}

TEST(RequestRate, OfAnAddressIsSharedByItsConnections) {
  RateServer server({});
  server.definition.options.address.request_rate = kThree;
  server.Start();
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(server.Exchange(kGetAndClose), StartsWith("HTTP/1.1 200"));
  }
  EXPECT_THAT(server.Exchange(kGetAndClose),
              AllOf(StartsWith("HTTP/1.1 429"), HasSubstr("Retry-After: 1000\r\n")));
  // Hammering is a connection's own.
  EXPECT_EQ(CountOf(server.Exchange(Gets(100)), "HTTP/1.1 429"), 31);
  server.Stop();
  EXPECT_EQ(server.counters->address_request_rate_limited.Get(), 32u);
  EXPECT_EQ(server.Refused(), 0u);
}

TEST(RequestRate, OfAnAddressDoesNotCountWhoIsExempt) {
  RateServer server({});
  server.definition.options.address.request_rate = kThree;
  server.definition.options.address.exempt = *CidrSet::Parse({"127.0.0.0/8"});
  server.Start();
  EXPECT_EQ(CountOf(server.Exchange(Gets(20) + std::string(kGetAndClose)), "HTTP/1.1 200"), 21);
}

TEST(RequestRate, KeepsAnswersInOrder) {
  RateServer server(kThree);
  std::vector<PendingResponse> pending;
  EXPECT_TRUE(
      server.service
          .Get("/later", [&](Request&, Response& response) { pending.push_back(response.Defer()); })
          .ok());
  server.Start();
  const std::string later = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
  Client client = server.Connect();
  client.Send(later + later + later + std::string(kGetAndClose));
  while (server.Refused() == 0) poll(nullptr, 0, 1);
  server.Run([&](Worker&) {
    for (PendingResponse& each : pending) {
      each.With([](Response& response) { response.Text("late"); });
    }
  });
  const std::string answers = client.ReadToEnd();
  EXPECT_EQ(CountOf(answers, "late"), 3);
  EXPECT_LT(answers.rfind("late"), answers.find("HTTP/1.1 429"));
  server.Run([&](Worker&) { pending.clear(); });
}

}  // namespace
}  // namespace ringmaster::http
