// HTTP connections that move to another process in the middle of what they do (session_move.cc).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "protocols/http/service/body_stream.h"
#include "protocols/http/service/request.h"
#include "protocols/http/service/response.h"
#include "protocols/http/service/service.h"
#include "tests/engine/handoff/moving_connection.h"

namespace ringmaster::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// The routes of one process.
struct Process {
  explicit Process(ServiceOptions options = {}, RouteOptions route_options = {})
      : service(std::move(options)) {
    const auto add = [](const absl::Status& status) { ASSERT_TRUE(status.ok()) << status; };
    add(service.Get("/hello", [](Request&, Response& response) { response.Text("Hello"); }));
    add(service.Any(
        "/echo", [](Request& request, Response& response) { response.Text(request.body()); },
        std::move(route_options)));
    add(service.Get("/later", [this](Request&, Response& response) { later = response.Defer(); }));
    add(service.StreamingRoute(
        "POST", "/upload", [](Request&, Response& response, BodyStream& body) {
          auto text = std::make_shared<std::string>();
          body.on_data = [text](std::string_view piece) { *text += piece; };
          body.on_end = [text, answer = response.Defer()](std::string_view) mutable {
            answer.With([&](Response& to) { to.Text(*text); });
          };
        }));
  }

  Service service;
  PendingResponse later;
};

std::string WithoutDate(const std::string& output) {
  return std::regex_replace(output, std::regex("Date: [^\r]*\r\n"), "");
}

constexpr std::string_view kHello = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kExpecting =
    "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n";
constexpr std::string_view kChunkedHead =
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view kChunks = "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n";
constexpr std::string_view kUploadHead =
    "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n";

// Requests of every kind, and where a move is possible: not while content is given to a decoder or
// a handler.
struct Script {
  std::string bytes;
  std::vector<bool> movable = {true};  // in front of each byte, and behind the last

  void Add(std::string_view part, bool movable_inside = true) {
    bytes += part;
    movable.resize(bytes.size() + 1, movable_inside);
    movable.back() = true;
  }
};

Script EveryKind() {
  Script script;
  script.Add(kHello);
  script.Add("\r\n");  // some clients send one
  script.Add("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345");
  script.Add(kExpecting);
  script.Add("body 2");
  script.Add(kChunkedHead);
  script.movable.back() = false;  // the head is complete: chunks follow
  script.Add(kChunks, false);
  script.Add(kHello);
  script.Add("HEAD /hello HTTP/1.1\r\nHost: a\r\nX-Long: " + std::string(200, 'l') + "\r\n\r\n");
  script.Add(kUploadHead);
  script.movable.back() = false;
  script.Add("streamed", false);
  script.Add("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
  script.Add("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  script.movable.back() = false;
  return script;
}

std::string Unmoved(std::string_view input) {
  Process process;
  MovingWorker worker(process.service);
  MovingWorker::Peer peer = worker.Connect();
  peer.Feed(input);
  return WithoutDate(peer.Read());
}

TEST(HttpSessionMove, GoesOnAtEveryCut) {
  const Script script = EveryKind();
  const std::string expected = Unmoved(script.bytes);
  ASSERT_THAT(expected, HasSubstr("streamed"));
  Process old_process;
  Process new_process;
  MovingWorker worker(old_process.service);
  for (size_t cut = 0; cut <= script.bytes.size(); ++cut) {
    MovingWorker::Peer peer = worker.Connect();
    peer.Feed(script.bytes.substr(0, cut));
    EXPECT_EQ(peer.MoveTo(new_process.service), script.movable[cut]) << "cut at " << cut;
    peer.Feed(script.bytes.substr(cut));
    ASSERT_EQ(WithoutDate(peer.Read()), expected) << "cut at " << cut;
    EXPECT_TRUE(peer.ended());
  }
}

TEST(HttpSessionMove, GoesOnWhenItMovesBehindEveryByte) {
  const Script script = EveryKind();
  Process processes[2];
  MovingWorker worker(processes[0].service);
  MovingWorker::Peer peer = worker.Connect();
  for (size_t i = 0; i < script.bytes.size(); ++i) {
    peer.Feed(script.bytes.substr(i, 1));
    peer.MoveTo(processes[(i + 1) % 2].service);
  }
  EXPECT_EQ(WithoutDate(peer.Read()), Unmoved(script.bytes));
}

TEST(HttpSessionMove, WaitsForAnAnswerThatIsOwed) {
  Process old_process;
  Process new_process;
  MovingWorker worker(old_process.service);
  MovingWorker::Peer peer = worker.Connect();
  peer.Feed("GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_FALSE(peer.MoveTo(new_process.service));
  old_process.later.With([](Response& response) { response.Text("at last"); });
  EXPECT_TRUE(peer.MoveTo(new_process.service));
  EXPECT_THAT(peer.Read(), HasSubstr("at last"));
  peer.Feed(kHello);
  EXPECT_THAT(peer.Read(), HasSubstr("Hello"));
}

TEST(HttpSessionMove, SaysContinueOnce) {
  Process old_process;
  Process new_process;
  MovingWorker worker(old_process.service);
  MovingWorker::Peer peer = worker.Connect();
  peer.Feed(kExpecting);
  EXPECT_EQ(peer.Read(), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(peer.MoveTo(new_process.service));
  EXPECT_EQ(peer.Read(), "");
  // The next one is a request of its own.
  peer.Feed("body 2" + std::string(kExpecting));
  EXPECT_THAT(peer.Read(), testing::MatchesRegex("HTTP/1.1 200 .*body 2HTTP/1.1 100 .*"));
}

TEST(HttpSessionMove, TakesTheRateOfARequestOnce) {
  ListenerDefinition listener;
  listener.stream.request_rate = {.per_second = 0.001, .burst = 1};
  Process old_process;
  Process new_process;
  MovingWorker worker(old_process.service, listener);
  MovingWorker::Peer peer = worker.Connect();
  peer.Feed("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12");
  ASSERT_TRUE(peer.MoveTo(new_process.service));
  peer.Feed("345");
  EXPECT_THAT(peer.Read(), StartsWith("HTTP/1.1 200 "));
  ASSERT_TRUE(peer.MoveTo(old_process.service));
  peer.Feed(kHello);
  EXPECT_THAT(peer.Read(), StartsWith("HTTP/1.1 429 "));
}

TEST(HttpSessionMove, KeepsCountOfTheRequests) {
  Process old_process;
  Process new_process({.requests_per_connection_max = 3});
  MovingWorker worker(old_process.service);
  MovingWorker::Peer peer = worker.Connect();
  peer.Feed(std::string(kHello) + std::string(kHello));
  ASSERT_TRUE(peer.MoveTo(new_process.service));
  peer.Feed(kHello);
  const std::string output = peer.Read();
  EXPECT_THAT(output, HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(peer.ended());
}

TEST(HttpSessionMove, LeavesTheGracefulStopBehind) {
  Process old_process;
  Process new_process;
  MovingWorker worker(old_process.service);
  MovingWorker::Peer peer = worker.Connect();
  peer.Feed("GET /hello HTTP/1.1\r\nHo");
  peer.connection()->session()->OnStop(*peer.connection());
  ASSERT_TRUE(peer.MoveTo(new_process.service));
  peer.Feed("st: a\r\n\r\n" + std::string(kHello));
  EXPECT_THAT(peer.Read(), Not(HasSubstr("Connection: close")));
  EXPECT_FALSE(peer.ended());
}

TEST(HttpSessionMove, HasTheBoundsOfTheNewProcess) {
  Process old_process;
  RouteOptions narrow;
  narrow.body_bytes_max = 4;
  Process new_process({}, narrow);
  MovingWorker worker(old_process.service);
  MovingWorker::Peer peer = worker.Connect();
  peer.Feed("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12");
  ASSERT_TRUE(peer.MoveTo(new_process.service));
  EXPECT_THAT(peer.Read(), StartsWith("HTTP/1.1 413 "));
}

TEST(HttpSessionMove, UsesTheOptionsOfTheRouteWhoseContentIsAwaited) {
  RouteOptions patient;
  patient.stream.emplace();
  patient.stream->timeouts.body = std::chrono::minutes(7);
  Process old_process;
  Process new_process({}, patient);
  MovingWorker worker(old_process.service);
  MovingWorker::Peer peer = worker.Connect();
  peer.Feed("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12");
  ASSERT_TRUE(peer.MoveTo(new_process.service));
  EXPECT_EQ(peer.connection()->options().timeouts.body, Duration(std::chrono::minutes(7)));
  peer.Feed("345");
  peer.Feed(kHello);
  EXPECT_NE(peer.connection()->options().timeouts.body, Duration(std::chrono::minutes(7)));
}

TEST(HttpSessionMove, BoundsAHeadThatCameInParts) {
  ListenerDefinition listener;
  listener.stream.timeouts.header = std::chrono::seconds(10);
  Process old_process;
  Process new_process;
  MovingWorker worker(old_process.service, listener);
  MovingWorker::Peer peer = worker.Connect();
  peer.Feed("GET /hello HTTP/1.1\r\nHo");
  worker.AdvanceTime(std::chrono::seconds(6));
  ASSERT_TRUE(peer.MoveTo(new_process.service));
  worker.AdvanceTime(std::chrono::seconds(3));
  EXPECT_FALSE(peer.ended());
  worker.AdvanceTime(std::chrono::seconds(2));
  EXPECT_THAT(peer.Read(), StartsWith("HTTP/1.1 408 "));
}

TEST(HttpSessionMove, DoesNotMoveOnItsWayOut) {
  Process process;
  MovingWorker worker(process.service);
  MovingWorker::Peer peer = worker.Connect();
  peer.Feed("nonsense\r\n\r\n");
  ASSERT_NE(peer.connection(), nullptr) << "it lingers";
  EXPECT_FALSE(peer.MoveTo(process.service));
}

TEST(HttpSessionMove, ReadsWhatNewerReleasesAppend) {
  Process process;
  MovingWorker worker(process.service);
  MovingWorker::Peer peer = worker.Connect();
  std::string state;
  StateWriter out(state);
  out.Bytes("http");
  out.Unsigned(1);
  out.Part(2, [](StateWriter& part) {
    part.Unsigned(7);
    part.Bool(false);
    part.Bool(false);
    part.Bytes("something new");
  });
  EXPECT_TRUE(peer.Restore(process.service, state));
  // What it must not leave out has another kind.
  state[5] = 3;
  EXPECT_FALSE(peer.Restore(process.service, state));
}

TEST(HttpSessionMove, DamagedStateIsRefusedOrWorks) {
  Process process;
  MovingWorker worker(process.service);
  MovingWorker::Peer sample = worker.Connect();
  sample.Feed(kExpecting);
  const std::string state = *SaveSession(*sample.connection());
  size_t refused = 0;
  for (const std::string& damaged : Damaged(state)) {
    MovingWorker::Peer peer = worker.Connect();
    refused += peer.Restore(process.service, damaged) ? 0 : 1;
    peer.Feed(kHello);
    EXPECT_THAT(peer.Read(), StartsWith("HTTP/1.1 200 "));
  }
  EXPECT_GT(refused, state.size() * 5);
}

// Another protocol's, or of nothing.
TEST(HttpSessionMove, RefusesWhatIsNotItsOwn) {
  Process process;
  MovingWorker worker(process.service);
  MovingWorker::Peer peer = worker.Connect();
  for (const std::string& state :
       {std::string(),
        std::string("\x06"
                    "framed\x04line\x01\x02\x00\x00",
                    16),
        std::string("\x04http"), std::string("\x04http\x02\x03/ws\x01\x00", 11)}) {
    EXPECT_FALSE(peer.Restore(process.service, state));
  }
}

}  // namespace
}  // namespace ringmaster::http
