// An HTTP server behind the PROXY protocol, on real sockets: a simulated one has no address that
// could be trusted.

#include "protocols/proxy/service/proxy_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <string>
#include <string_view>

#include "protocols/http/service/request.h"
#include "protocols/http/service/response.h"
#include "tests/engine/handoff/moving_connection.h"
#include "tests/protocols/http/service/live_server.h"
#include "tests/protocols/proxy/codec/headers_for_test.h"

namespace ringmaster::proxy {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

constexpr std::string_view kV1 = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";
constexpr std::string_view kGet = "GET /who HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kGetAndClose =
    "GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

class ProxyServer : public http::LiveServer {
 public:
  explicit ProxyServer(const std::vector<std::string>& trusted = {"127.0.0.0/8"},
                       const StreamOptions& stream = {})
      : LiveServer({}, stream) {
    listener.protocol = &proxy_;
    listener.proxy_protocol = true;
    listener.trusted_proxies = *CidrSet::Parse(trusted);
    EXPECT_TRUE(
        service
            .Get("/who", [](http::Request& request,
                            http::Response& response) { response.Text(request.peer().ToString()); })
            .ok());
  }
  ~ProxyServer() { Stop(); }

  std::string Ask(std::string_view header) {
    return Exchange(std::string(header) + std::string(kGetAndClose));
  }
  uint64_t Closed(CloseReason reason) const {
    return counters->closed_by_reason[static_cast<int>(reason)].Get();
  }

 private:
  ProxyProtocol proxy_{service};
};

TEST(ProxyProtocol, GivesTheConnectionTheAddressOfItsClient) {
  ProxyServer server;
  server.Start();
  EXPECT_THAT(server.Ask(kV1), EndsWith("\r\n\r\n192.0.2.1:56324"));
  EXPECT_THAT(server.Ask("PROXY TCP6 2001:db8::1 ::1 9 443\r\n"),
              EndsWith("\r\n\r\n[2001:db8::1]:9"));
  EXPECT_THAT(server.Ask(HeaderV2(0x21, 0x11, kIpv4Block)), EndsWith("\r\n\r\n192.0.2.1:56324"));
  EXPECT_THAT(server.Ask(HeaderV2(0x21, 0x21, kIpv6Block + Tlv(0x01, "http/1.1"))),
              EndsWith("\r\n\r\n[2001:db8::1]:56324"));
  EXPECT_THAT(server.Ask(HeaderV2(0x21, 0x31, std::string(216, 'u'))), EndsWith("\r\n\r\nunix"));
}

TEST(ProxyProtocol, LeavesThePeerWhenTheProxySpeaksForItself) {
  ProxyServer server;
  server.Start();
  for (const std::string& header :
       {HeaderV2(0x20, 0x00, ""), HeaderV2(0x21, 0x00, ""), std::string("PROXY UNKNOWN\r\n")}) {
    EXPECT_THAT(server.Ask(header), testing::HasSubstr("\r\n\r\n127.0.0.1:")) << header;
  }
}

TEST(ProxyProtocol, ReadsAHeaderHoweverItIsCut) {
  ProxyServer server;
  server.Start();
  uint64_t sent = 0;
  for (const std::string& header :
       {std::string(kV1), HeaderV2(0x21, 0x11, kIpv4Block + Tlv(0x04, "padding"))}) {
    for (size_t cut = 1; cut <= header.size(); ++cut) {
      http::Client client = server.Connect();
      client.Send(header.substr(0, cut));
      sent += cut;
      while (server.counters->bytes_received.Get() < sent) sched_yield();
      const std::string rest = header.substr(cut) + std::string(kGetAndClose);
      client.Send(rest);
      sent += rest.size();
      EXPECT_THAT(client.ReadToEnd(), EndsWith("\r\n\r\n192.0.2.1:56324")) << "cut at " << cut;
    }
  }
}

TEST(ProxyProtocol, KeepsTheClientForTheWholeConnection) {
  ProxyServer server;
  server.Start();
  http::Client client = server.Connect();
  client.Send(std::string(kV1) + std::string(kGet) + std::string(kGet));
  EXPECT_THAT(client.ReadResponse(), EndsWith("192.0.2.1:56324"));
  EXPECT_THAT(client.ReadResponse(), EndsWith("192.0.2.1:56324"));
  // A second header is no request.
  client.Send(kV1);
  EXPECT_THAT(client.ReadToEnd(), StartsWith("HTTP/1.1 400"));
}

TEST(ProxyProtocol, ClosesWithoutAnAnswerWhatBeginsWithNoHeader) {
  ProxyServer server;
  server.Start();
  const std::string bad[] = {
      std::string(kGetAndClose), "PROXY TCP4 nonsense\r\n", HeaderV2(0x31, 0x11, kIpv4Block),
      HeaderV2(0x21, 0x11, kIpv4Block + Tlv(0x03, "\1\2\3\4")), "PROXY " + std::string(200, ' ')};
  for (const std::string& each : bad) EXPECT_EQ(server.Exchange(each), "");
  server.Stop();
  EXPECT_EQ(server.counters->refused_proxy_header.Get(), std::size(bad));
  EXPECT_EQ(server.Closed(CloseReason::kProtocolError), std::size(bad));
  EXPECT_EQ(server.counters->messages.Get(), 0u);
}

TEST(ProxyProtocol, IsNotReadFromWhoIsNotTrusted) {
  ProxyServer server({"192.0.2.0/24", "unix"});
  server.Start();
  EXPECT_EQ(server.Ask(kV1), "");
  EXPECT_EQ(server.Exchange(kGetAndClose), "");
  server.Stop();
  EXPECT_EQ(server.counters->refused_proxy_untrusted.Get(), 2u);
  EXPECT_EQ(server.counters->connections_accepted.Get(), 0u);
  EXPECT_EQ(server.counters->bytes_received.Get(), 0u);
}

TEST(ProxyProtocol, AsksTheDoorForTheClient) {
  ProxyServer server;
  server.definition.options.address.connections_max = 1;
  server.listener.deny = *CidrSet::Parse({"198.51.100.0/24"});
  server.Start();
  http::Client first = server.Connect();
  first.Send(std::string(kV1) + std::string(kGet));
  EXPECT_THAT(first.ReadResponse(), EndsWith("192.0.2.1:56324"));
  // The same client once more, through the same proxy; then another one.
  EXPECT_THAT(server.Ask(kV1), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(server.Ask("PROXY TCP4 192.0.2.2 192.0.2.9 1 2\r\n"), EndsWith("192.0.2.2:1"));
  EXPECT_THAT(server.Ask("PROXY TCP4 198.51.100.7 192.0.2.9 1 2\r\n"), StartsWith("HTTP/1.1 503"));
  server.Stop();
  EXPECT_EQ(server.counters->refused_address_max.Get(), 1u);
  EXPECT_EQ(server.counters->refused_denied.Get(), 1u);
  EXPECT_EQ(server.Closed(CloseReason::kRefused), 2u);
}

TEST(ProxyProtocol, CountsRequestsByClient) {
  ProxyServer server;
  server.definition.options.address.request_rate = {.per_second = 0.001, .burst = 2};
  server.Start();
  for (const char* client : {"192.0.2.1", "192.0.2.2"}) {
    const std::string header = "PROXY TCP4 " + std::string(client) + " 192.0.2.9 1 2\r\n";
    EXPECT_THAT(server.Ask(header), StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(server.Ask(header), StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(server.Ask(header), StartsWith("HTTP/1.1 429"));
  }
  server.Stop();
  EXPECT_EQ(server.counters->address_request_rate_limited.Get(), 2u);
  EXPECT_EQ(server.counters->request_rate_limited.Get(), 0u);
}

TEST(ProxyProtocol, BoundsTheHeaderByTheHandshakeTimeout) {
  StreamOptions stream;
  stream.timeouts.handshake = std::chrono::milliseconds(100);
  stream.timeouts.read = std::chrono::seconds(60);
  ProxyServer server({"127.0.0.1"}, stream);
  server.Start();
  http::Client silent = server.Connect();
  http::Client slow = server.Connect();
  slow.Send("PROXY TCP4 192.0");
  // A header alone: what comes behind has the same time again.
  http::Client header_only = server.Connect();
  header_only.Send(kV1);
  EXPECT_EQ(silent.ReadToEnd(), "");
  EXPECT_EQ(slow.ReadToEnd(), "");
  EXPECT_EQ(header_only.ReadToEnd(), "");
  server.Stop();
  EXPECT_EQ(server.Closed(CloseReason::kHandshakeTimeout), 3u);
}

TEST(ProxyProtocol, EndsQuietlyWhenThePeerDoes) {
  ProxyServer server;
  server.Start();
  http::Client client = server.Connect();
  client.Send("PROXY TCP4");
  client.EndOutput();
  EXPECT_EQ(client.ReadToEnd(), "");
  server.Stop();
  EXPECT_EQ(server.Closed(CloseReason::kPeerClosed), 1u);
  EXPECT_EQ(server.counters->refused_proxy_header.Get(), 0u);
}

// A proxy sends the header as soon as it is connected, and the request when it has one. A graceful
// stop in between must not lose the request, as it does not lose one on its way without a proxy.
TEST(ProxyProtocol, LetsTheFirstRequestComeDuringAGracefulStop) {
  ProxyServer server;
  server.Start();
  http::Client client = server.Connect();
  client.Send(kV1);
  while (server.counters->bytes_received.Get() < kV1.size()) sched_yield();
  server.BeginStop();
  client.Send(kGet);
  EXPECT_THAT(client.ReadToEnd(), EndsWith("192.0.2.1:56324"));
}

TEST(ProxyProtocol, IsPutInFrontByListen) {
  ServerDefinition server;
  http::Service service;
  ListenerDefinition plain;
  plain.protocol = &service;
  Listen(server, plain);
  ListenerDefinition proxied = plain;
  proxied.proxy_protocol = true;
  Listen(server, proxied);
  EXPECT_EQ(server.listeners()[0]->protocol, &service);
  EXPECT_TRUE(server.listeners()[1]->protocol->NamesPeer());
  EXPECT_EQ(server.listeners()[1]->protocol->name(), "http");
  EXPECT_TRUE(server.Validate().ok());
  // Without it the header would be taken for a request: such a server does not start.
  server.Listen(proxied);
  EXPECT_FALSE(server.Validate().ok());
  // Nor does one that would believe everybody.
  ServerDefinition open;
  ProxyProtocol proxy(service);
  plain.protocol = &proxy;
  open.Listen(plain);
  EXPECT_FALSE(open.Validate().ok());
}

// On the simulated ring: one process and the next, each with its proxy and its service.
struct MovingProxy {
  MovingProxy() {
    EXPECT_TRUE(
        service
            .Get("/who", [](http::Request& request,
                            http::Response& response) { response.Text(request.peer().ToString()); })
            .ok());
  }
  http::Service service;
  ProxyProtocol proxy{service};
};

TEST(ProxyProtocol, MovesBeforeItsHeaderInsideItAndBehindIt) {
  ListenerDefinition listener;
  listener.proxy_protocol = true;
  listener.trusted_proxies = *CidrSet::Parse({"127.0.0.0/8"});
  PeerAddress address;
  address.family = AF_INET;
  address.bytes[0] = 127;
  address.bytes[3] = 1;
  MovingProxy old_process;
  MovingProxy new_process;
  MovingWorker worker(old_process.proxy, listener);
  for (const std::string& header :
       {std::string(kV1), HeaderV2(0x21, 0x11, kIpv4Block + Tlv(0x04, "padding"))}) {
    const std::string input = header + std::string(kGet);
    for (size_t cut = 0; cut <= input.size(); ++cut) {
      MovingWorker::Peer peer = worker.Connect(address);
      peer.Feed(input.substr(0, cut));
      ASSERT_TRUE(peer.MoveTo(new_process.proxy)) << "cut at " << cut;
      peer.Feed(input.substr(cut));
      EXPECT_THAT(peer.Read(), EndsWith("\r\n\r\n192.0.2.1:56324")) << "cut at " << cut;
    }
  }
}

TEST(ProxyProtocol, MovesToAListenerWithoutProxiesOnceItsHeaderIsRead) {
  ListenerDefinition listener;
  listener.proxy_protocol = true;
  listener.trusted_proxies = *CidrSet::Parse({"127.0.0.0/8"});
  PeerAddress address;
  address.family = AF_INET;
  address.bytes[0] = 127;
  MovingProxy old_process;
  MovingProxy new_process;
  MovingWorker worker(old_process.proxy, listener);
  MovingWorker::Peer peer = worker.Connect(address);
  peer.Feed("PROXY TCP4");
  EXPECT_FALSE(peer.MoveTo(new_process.service)) << "the header would be taken for a request";
  peer.Feed(kV1.substr(10));
  EXPECT_TRUE(peer.MoveTo(new_process.service));
  EXPECT_TRUE(peer.MoveTo(old_process.proxy)) << "and back";
  peer.Feed(kGet);
  EXPECT_THAT(peer.Read(), EndsWith("192.0.2.1:56324"));
  for (const std::string& damaged : Damaged(*SaveSession(*peer.connection()))) {
    peer.Restore(new_process.proxy, damaged);
    EXPECT_TRUE(peer.connection()->open());
  }
}

}  // namespace
}  // namespace ringmaster::proxy
