#include "protocols/http/service/client_address.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "protocols/http/codec/request_head.h"
#include "tests/protocols/http/service/live_server.h"

namespace ringmaster::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

PeerAddress Peer(const char* text) {
  PeerAddress peer;
  peer.port = 1000;
  if (inet_pton(AF_INET, text, peer.bytes) == 1) {
    peer.family = AF_INET;
  } else if (inet_pton(AF_INET6, text, peer.bytes) == 1) {
    peer.family = AF_INET6;
  } else {
    peer.family = AF_UNIX;
  }
  return peer;
}

struct Case {
  const char* peer;
  std::vector<std::string_view> x_forwarded_for;
  std::string_view client;
};

TEST(ClientAddress, IsTheRightmostThatIsNotATrustedProxy) {
  const CidrSet trusted = *CidrSet::Parse({"10.0.0.0/8", "2001:db8:1::/48", "unix"});
  const Case kCases[] = {
      // Nobody said anything.
      {"10.0.0.1", {}, "10.0.0.1:1000"},
      {"unix", {}, "unix"},
      // A stranger is not believed.
      {"192.0.2.9", {"203.0.113.1"}, "192.0.2.9:1000"},
      {"2001:db8:2::1", {"203.0.113.1"}, "[2001:db8:2::1]:1000"},
      {"10.0.0.1", {"203.0.113.1"}, "203.0.113.1:0"},
      {"unix", {"203.0.113.1:80"}, "203.0.113.1:80"},
      {"::ffff:10.0.0.1", {"203.0.113.1"}, "203.0.113.1:0"},
      // What a client wrote itself stands left of what our proxies wrote.
      {"10.0.0.1", {"198.51.100.66, 203.0.113.1"}, "203.0.113.1:0"},
      {"10.0.0.1", {"198.51.100.66", "203.0.113.1, 10.0.0.7", "10.0.0.3"}, "203.0.113.1:0"},
      {"10.0.0.1", {"198.51.100.66, 203.0.113.1, 2001:db8:1::5"}, "203.0.113.1:0"},
      // All of it is our own: whoever began it.
      {"10.0.0.1", {"10.0.0.9, 10.0.0.8"}, "10.0.0.9:0"},
      // The walk ends where nobody can say any more: with the last proxy that could be told.
      {"10.0.0.1", {"203.0.113.1, unknown"}, "10.0.0.1:1000"},
      {"10.0.0.1", {"203.0.113.1, _hidden, 10.0.0.2"}, "10.0.0.2:0"},
      {"10.0.0.1", {"203.0.113.1, nonsense, 10.0.0.2, 10.0.0.3"}, "10.0.0.2:0"},
      {"10.0.0.1", {"nonsense, 203.0.113.1"}, "203.0.113.1:0"},
  };
  for (const Case& each : kCases) {
    RequestHead head;
    for (const std::string_view value : each.x_forwarded_for) {
      head.fields[head.field_count++] = {"X-Forwarded-For", value};
    }
    // The other field is not looked at.
    head.fields[head.field_count++] = {"Forwarded", "for=198.51.100.99"};
    const PeerAddress client =
        ClientOf(Peer(each.peer), head, ClientAddressSource::kXForwardedFor, trusted)
            .value_or(Peer(each.peer));
    EXPECT_EQ(client.ToString(), each.client)
        << each.peer << " " << testing::PrintToString(each.x_forwarded_for);
  }
}

TEST(ClientAddress, ReadsForwardedWhenThatIsTheSource) {
  const CidrSet trusted = *CidrSet::Parse({"10.0.0.0/8"});
  RequestHead head;
  head.fields[head.field_count++] = {"X-Forwarded-For", "198.51.100.99"};
  head.fields[head.field_count++] = {"Forwarded", R"(for="[2001:db8::7]:4711";proto=https)"};
  head.fields[head.field_count++] = {"forwarded", "for=10.0.0.2"};
  EXPECT_EQ(ClientOf(Peer("10.0.0.1"), head, ClientAddressSource::kForwarded, trusted)->ToString(),
            "[2001:db8::7]:4711");
  EXPECT_FALSE(ClientOf(Peer("10.0.0.1"), head, ClientAddressSource::kPeer, trusted));
}

std::string Get(std::string_view forwarded_for, std::string_view target = "/who",
                std::string_view fields = "Connection: close\r\n") {
  return "GET " + std::string(target) +
         " HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " + std::string(forwarded_for) + "\r\n" +
         std::string(fields) + "\r\n";
}

class ClientAddressTest : public testing::Test {
 protected:
  static ServiceOptions Options() {
    ServiceOptions options;
    options.client_address = ClientAddressSource::kXForwardedFor;
    options.trusted_proxies = *CidrSet::Parse({"127.0.0.0/8"});
    return options;
  }

  ClientAddressTest() {
    const auto who = [](Request& request, Response& response) {
      response.Text(request.client().Host() + " by " + request.peer().Host());
    };
    EXPECT_TRUE(server_.service.Get("/who", who).ok());
    EXPECT_TRUE(server_.service.Post("/who", who).ok());
    EXPECT_TRUE(
        server_.service
            .Get("/later",
                 [this](Request&, Response& response) { pending_.push_back(response.Defer()); })
            .ok());
    EXPECT_TRUE(server_.service
                    .Get("/now",
                         [this](Request&, Response& response) {
                           response.Text("now");
                           pending_.clear();
                         })
                    .ok());
    server_.service.access_log = [this](const AccessRecord& record) {
      log_ += std::string(record.target) + " " + record.client->Host() + " by " +
              record.peer->Host() + "\n";
    };
  }

  std::vector<PendingResponse> pending_;
  std::string log_;
  LiveServer server_{Options()};
};

TEST_F(ClientAddressTest, IsKnownToHandlersAndToTheAccessLog) {
  server_.Start();
  EXPECT_THAT(server_.Exchange(Get("203.0.113.1")), EndsWith("203.0.113.1 by 127.0.0.1"));
  EXPECT_THAT(server_.Exchange(Get("unknown")), EndsWith("127.0.0.1 by 127.0.0.1"));
  EXPECT_THAT(server_.Exchange(Get("203.0.113.2", "/nowhere")), HasSubstr("404"));
  EXPECT_THAT(server_.Exchange("BAD\r\n\r\n"), HasSubstr("400"));
  server_.Stop();
  EXPECT_EQ(log_,
            "/who 203.0.113.1 by 127.0.0.1\n"
            "/who 127.0.0.1 by 127.0.0.1\n"
            "/nowhere 203.0.113.2 by 127.0.0.1\n"
            "- 127.0.0.1 by 127.0.0.1\n");
}

TEST_F(ClientAddressTest, IsThatOfEachRequestOfAConnection) {
  server_.Start();
  const std::string chunked = "3\r\nabc\r\n0\r\n\r\n";
  Client client = server_.Connect();
  // Cut in the content: the head is read again, after another connection's.
  const std::string post = "POST /who HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\n";
  client.Send(Get("203.0.113.1", "/who", "") + post + "Transfer-Encoding: chunked\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), EndsWith("203.0.113.1 by 127.0.0.1"));
  EXPECT_THAT(server_.Exchange(Get("203.0.113.9")), EndsWith("203.0.113.9 by 127.0.0.1"));
  client.Send(chunked + post + "Content-Length: 2\r\n\r\nx");
  EXPECT_THAT(client.ReadResponse(), EndsWith("203.0.113.7 by 127.0.0.1"));
  EXPECT_THAT(server_.Exchange(Get("203.0.113.9")), EndsWith("203.0.113.9 by 127.0.0.1"));
  client.Send("y");
  EXPECT_THAT(client.ReadResponse(), EndsWith("203.0.113.7 by 127.0.0.1"));
}

TEST_F(ClientAddressTest, OutlivesItsRequestInALateAnswer) {
  server_.Start();
  Client client = server_.Connect();
  client.Send(Get("203.0.113.1", "/later", "") + Get("203.0.113.2", "/later", "") +
              Get("203.0.113.3", "/now", ""));
  // The first two are answered when the third was: they were forgotten.
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(client.ReadResponse(), EndsWith("now"));
  server_.Stop();
  EXPECT_EQ(log_,
            "/now 203.0.113.3 by 127.0.0.1\n"
            "/later 203.0.113.1 by 127.0.0.1\n"
            "/later 203.0.113.2 by 127.0.0.1\n");
}

TEST_F(ClientAddressTest, IsWhomTheRateOfAnAddressCounts) {
  server_.definition.options.address.request_rate = {.per_second = 0.001, .burst = 2};
  server_.Start();
  Client proxy = server_.Connect();
  const auto status = [&](std::string_view client) {
    proxy.Send(Get(client, "/who", ""));
    return proxy.ReadResponse().substr(9, 3);
  };
  EXPECT_EQ(status("203.0.113.1"), "200");
  EXPECT_EQ(status("203.0.113.1"), "200");
  EXPECT_EQ(status("203.0.113.1"), "429");
  EXPECT_EQ(status("203.0.113.2"), "200");
  // The proxy itself.
  EXPECT_EQ(status("unknown"), "200");
  EXPECT_EQ(status("unknown"), "200");
  EXPECT_EQ(status("unknown"), "429");
  EXPECT_EQ(status("203.0.113.1, 127.0.0.9"), "429");
  EXPECT_EQ(status("203.0.113.2"), "200");
  EXPECT_EQ(status("203.0.113.2"), "429");
}

TEST_F(ClientAddressTest, IsWhomAllowAndDenyJudge) {
  server_.listener.deny = *CidrSet::Parse({"203.0.113.0/24"});
  server_.Start();
  Client proxy = server_.Connect();
  const auto answer = [&](std::string_view client, std::string_view rest = "") {
    proxy.Send(Get(client, "/who", rest));
    return proxy.ReadResponse();
  };
  EXPECT_THAT(answer("203.0.113.1"), StartsWith("HTTP/1.1 403 "));
  // The proxy's connection stays, for others.
  EXPECT_THAT(answer("198.51.100.1"), EndsWith("198.51.100.1 by 127.0.0.1"));
  EXPECT_THAT(answer("203.0.113.1"), StartsWith("HTTP/1.1 403 "));
  EXPECT_EQ(server_.counters->refused_denied.Get(), 2u);
}

TEST_F(ClientAddressTest, IsNotTakenFromAStranger) {
  ServiceOptions options = Options();
  options.trusted_proxies = *CidrSet::Parse({"192.0.2.0/24"});
  LiveServer strict(options);
  EXPECT_TRUE(strict.service
                  .Get("/who", [](Request& request,
                                  Response& response) { response.Text(request.client().Host()); })
                  .ok());
  strict.Start();
  EXPECT_THAT(strict.Exchange(Get("203.0.113.1")), EndsWith("\r\n\r\n127.0.0.1"));
}

}  // namespace
}  // namespace ringmaster::http
