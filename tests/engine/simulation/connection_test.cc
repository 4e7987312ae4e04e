#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/log.h"
#include "gtest/gtest.h"
#include "tests/engine/simulation/echo_protocol.h"
#include "tests/engine/simulation/simulated_engine.h"
#include "tests/engine/time_points.h"

// Stories of one connection on the simulated ring, without faults: every deadline to the
// millisecond, and what the random simulation once found.

namespace ringmaster::simulation {
namespace {

using std::chrono::milliseconds;

class ConnectionTest : public testing::Test {
 protected:
  static SimulatedEngine::Options Defaults() {
    SimulatedEngine::Options options;
    Timeouts& timeouts = options.stream.timeouts;
    timeouts.connect = milliseconds(50);
    timeouts.handshake = milliseconds(100);
    timeouts.header = milliseconds(110);
    timeouts.body = milliseconds(120);
    timeouts.message = milliseconds(200);
    timeouts.read = milliseconds(300);
    timeouts.write = milliseconds(400);
    timeouts.close = milliseconds(500);
    options.stream.send_queue_bytes_high = 16 * 1024;
    options.stream.send_queue_bytes_low = 4 * 1024;
    return options;
  }

  void SetUp() override { static_cast<void>(log::Setup("off", "text", "", "test")); }

  void Start(const SimulatedEngine::Options& options = Defaults()) {
    engine_ = std::make_unique<SimulatedEngine>(world_, protocol_, options);
  }

  void Connect(const SimulatedStream::Room& room = {}) {
    const PeerAddress address = EchoProtocol::AddressOf(protocol_.records().size(), 0);
    protocol_.records().push_back(std::make_unique<ConnectionRecord>());
    peer_ = engine_->ConnectPeer(room, address);
  }

  ConnectionRecord& record() { return *protocol_.records().back(); }
  Connection* connection() { return engine_->worker().Find(record().connection_id); }
  void RunFor(Duration duration) { engine_->RunFor(duration); }

  // The connection was closed for `reason`, `milliseconds_wanted` after `since`.
  void ExpectClosed(CloseReason reason, TimePoint since, int milliseconds_wanted) {
    EXPECT_EQ(record().closed_count, 1);
    EXPECT_EQ(CloseReasonName(record().close_reason), CloseReasonName(reason));
    EXPECT_GE(record().closed_at, since + milliseconds_wanted * kMillisecond);
    EXPECT_LE(record().closed_at, since + (milliseconds_wanted + 2) * kMillisecond);
  }

  World world_{1};
  EchoProtocol protocol_{world_};
  std::unique_ptr<SimulatedEngine> engine_;
  std::shared_ptr<SimulatedStream> peer_;
};

TEST_F(ConnectionTest, ClosesAPeerThatNeverSaysAnything) {
  Start();
  Connect();
  RunFor(milliseconds(150));
  ExpectClosed(CloseReason::kHandshakeTimeout, record().opened_at, 100);
  EXPECT_TRUE(peer_->peer_sees_end());
  engine_->ExpectNothingLeft();
}

// One request and the end of it, and all of its submissions.
TEST_F(ConnectionTest, LinksNoTimeoutForOneThatIsGoneAtOnce) {
  uint64_t submissions[2];
  for (const bool timeouts : {false, true}) {
    SimulatedEngine::Options options = Defaults();
    if (!timeouts) {
      Timeouts& off = options.stream.timeouts;
      off.handshake = off.message = off.read = off.write = off.close = Duration::zero();
    }
    Start(options);
    Connect();
    const uint64_t before = engine_->ring().figures().sqe_count;
    peer_->PeerSend(EncodeRequest(Command::kCloseLinger, "bye"));
    RunFor(milliseconds(5));
    peer_->PeerRead(1000);
    EXPECT_TRUE(peer_->peer_sees_end());
    peer_->PeerClose();
    RunFor(milliseconds(20));
    EXPECT_EQ(record().closed_count, 1);
    submissions[timeouts] = engine_->ring().figures().sqe_count - before;
    RunFor(milliseconds(500));
    engine_->ExpectNothingLeft();
  }
  EXPECT_EQ(submissions[true], submissions[false]);
}

TEST_F(ConnectionTest, ClosesAnIdlePeerAfterTheReadTimeoutSinceItsLastByte) {
  Start();
  Connect();
  peer_->PeerSend(EncodeRequest(Command::kEcho, "one"));
  RunFor(milliseconds(250));
  peer_->PeerSend(EncodeRequest(Command::kEcho, "two"));
  RunFor(milliseconds(350));
  ExpectClosed(CloseReason::kReadTimeout, record().last_input_at, 300);
  engine_->ExpectNothingLeft();
}

TEST_F(ConnectionTest, ExtendsAMessageDeadlineByNothing) {
  Start();
  Connect();
  const std::string request = EncodeRequest(Command::kEcho, std::string(100, 'x'));
  for (int i = 0; i < 30; ++i) {
    peer_->PeerSend(std::string_view(request).substr(static_cast<size_t>(i), 1));
    RunFor(milliseconds(10));
  }
  ExpectClosed(CloseReason::kMessageTimeout, record().opened_at, 200);
  engine_->ExpectNothingLeft();
}

TEST_F(ConnectionTest, ClosesAPeerThatTakesNoOutputAfterTheWriteTimeout) {
  SimulatedEngine::Options options = Defaults();
  options.stream.timeouts.read = Duration::zero();
  Start(options);
  Connect({.to_peer_bytes = 1000});
  peer_->PeerSend(EncodeLargeRequest(Command::kLarge, 50'000));
  RunFor(milliseconds(390));
  EXPECT_EQ(record().closed_count, 0);
  // Any progress begins the wait anew.
  peer_->PeerRead(1);
  const TimePoint progress = world_.now();
  RunFor(milliseconds(450));
  ExpectClosed(CloseReason::kWriteTimeout, progress, 400);
  engine_->ExpectNothingLeft();
}

TEST_F(ConnectionTest, LingersForThePeersEndNoLongerThanTheCloseTimeout) {
  Start();
  Connect();
  peer_->PeerSend(EncodeRequest(Command::kCloseLinger, "bye"));
  RunFor(milliseconds(100));
  EXPECT_EQ(record().closed_count, 0);
  EXPECT_EQ(peer_->PeerRead(100), ExpectedAnswer(Command::kCloseLinger, "bye"));
  EXPECT_TRUE(peer_->peer_sees_end());
  // What it goes on sending extends nothing.
  for (int i = 0; i < 45; ++i) {
    peer_->PeerSend("more");
    RunFor(milliseconds(10));
  }
  ExpectClosed(CloseReason::kLocal, record().opened_at, 500);
  engine_->ExpectNothingLeft();
}

TEST_F(ConnectionTest, EndsAtItsLifetimeHoweverBusyItIs) {
  SimulatedEngine::Options options = Defaults();
  options.stream.timeouts.lifetime = milliseconds(1000);
  Start(options);
  Connect();
  for (int i = 0; i < 110; ++i) {
    peer_->PeerSend(EncodeRequest(Command::kEcho, "busy"));
    RunFor(milliseconds(10));
    peer_->PeerRead(1000);
  }
  ExpectClosed(CloseReason::kLifetime, record().opened_at, 1000);
  engine_->ExpectNothingLeft();
}

// The read timeout used to count from the last byte received, so that a download that took longer
// ended with it, although every byte was on its way.
TEST_F(ConnectionTest, DoesNotTakeALongDownloadForAnIdleConnection) {
  Start();
  Connect({.to_peer_bytes = 1000});
  peer_->PeerSend(EncodeLargeRequest(Command::kLarge, 50'000));
  size_t read_bytes = 0;
  for (int i = 0; i < 102; ++i) {
    read_bytes += peer_->PeerRead(500).size();
    RunFor(milliseconds(10));
  }
  EXPECT_EQ(record().closed_count, 0);
  EXPECT_EQ(read_bytes, 50'005u);
  RunFor(milliseconds(350));
  EXPECT_EQ(record().close_reason, CloseReason::kReadTimeout);
  engine_->ExpectNothingLeft();
}

// A handler that paused the input for longer than the read timeout used to find its connection
// closed as soon as it resumed.
TEST_F(ConnectionTest, CountsIdleTimeFromTheResumeOfAPausedInput) {
  Start();
  Connect();
  peer_->PeerSend(EncodeRequest(Command::kEcho, "x"));
  RunFor(milliseconds(10));
  connection()->PauseReceive();
  RunFor(milliseconds(1000));
  ASSERT_NE(connection(), nullptr);
  connection()->ResumeReceive();
  const TimePoint resumed = world_.now();
  record().was_held_back = true;
  RunFor(milliseconds(350));
  ExpectClosed(CloseReason::kReadTimeout, resumed, 300);
  engine_->ExpectNothingLeft();
}

// While a send was stuck, answers that piled up above the high watermark stopped the session but
// not the receive: a peer that only sent made the engine keep its requests without a bound.
TEST_F(ConnectionTest, StopsReceivingWhileItsAnswersAreStuck) {
  Start();
  Connect({.to_engine_bytes = 10'000, .to_peer_bytes = 1000});
  const std::string request = EncodeRequest(Command::kEcho, std::string(500, 'x'));
  size_t accepted_bytes = 0;
  for (int i = 0; i < 300; ++i) {
    std::string some;
    for (int j = 0; j < 2; ++j) some += request;
    accepted_bytes += peer_->PeerSend(some);
    RunFor(milliseconds(1));
  }
  // The kernel's buffer, the queue up to its watermark, and the receive buffers under way.
  EXPECT_LT(accepted_bytes, 60'000u);
  ASSERT_NE(connection(), nullptr);
  EXPECT_LT(connection()->bytes_received(), 50'000u);
  engine_->ExpectNothingLeft();
}

TEST_F(ConnectionTest, ProbesAnIdlePeerOnceAtHalfTheReadTimeout) {
  class ProbeSession : public Session {
   public:
    explicit ProbeSession(std::vector<TimePoint>& probes) : probes_(probes) {}
    size_t OnInput(Connection& connection, std::span<char> input) override {
      connection.ClearWait();
      connection.EnableIdleProbe();
      return input.size();
    }
    void OnIdleProbe(Connection& connection) override {
      probes_.push_back(connection.worker().now());
      connection.Send("are you there?");
    }
    void OnClosed(Connection& connection, CloseReason reason) override {
      EXPECT_EQ(reason, CloseReason::kReadTimeout);
      probes_.push_back(connection.worker().now());
    }

   private:
    std::vector<TimePoint>& probes_;
  };
  class ProbeProtocol : public Protocol {
   public:
    std::string_view name() const override { return "probe"; }
    std::unique_ptr<Session> NewSession(Connection&) override {
      return std::make_unique<ProbeSession>(times);
    }
    std::vector<TimePoint> times;  // of the probes, then of the close
  };
  ProbeProtocol protocol;
  SimulatedEngine engine(world_, protocol, Defaults());
  const auto peer = engine.ConnectPeer();
  peer->PeerSend("first");
  engine.RunFor(milliseconds(200));
  ASSERT_EQ(protocol.times.size(), 1u);
  peer->PeerSend("here");
  const TimePoint answered = world_.now();
  engine.RunFor(milliseconds(400));
  ASSERT_EQ(protocol.times.size(), 3u);
  EXPECT_NEAR(static_cast<double>(protocol.times[1] - answered), 150.0 * kMillisecond,
              kMillisecond);
  EXPECT_NEAR(static_cast<double>(protocol.times[2] - answered), 300.0 * kMillisecond,
              kMillisecond);
  engine.ExpectNothingLeft();
}

TEST_F(ConnectionTest, SurvivesATimerThatThrows) {
  Start();
  int runs = 0;
  engine_->worker().AddTimer(milliseconds(10), milliseconds(10), [&runs] {
    ++runs;
    throw std::runtime_error("a timer that throws");
  });
  RunFor(milliseconds(100));
  EXPECT_GE(runs, 9);
  EXPECT_EQ(engine_->counters().handler_exceptions.Get(), static_cast<uint64_t>(runs));
}

TEST_F(ConnectionTest, GivesEveryWaitItsOwnTimeoutAndReason) {
  struct Case {
    Wait wait;
    CloseReason reason;
    int timeout_ms;
  };
  for (const Case& c : {Case{Wait::kHandshake, CloseReason::kHandshakeTimeout, 100},
                        Case{Wait::kHeader, CloseReason::kHeaderTimeout, 110},
                        Case{Wait::kBody, CloseReason::kBodyTimeout, 120},
                        Case{Wait::kMessage, CloseReason::kMessageTimeout, 200}}) {
    SCOPED_TRACE(CloseReasonName(c.reason));
    class WaitSession : public Session {
     public:
      WaitSession(Wait wait, CloseReason& reason, TimePoint& closed_at)
          : wait_(wait), reason_(reason), closed_at_(closed_at) {}
      size_t OnInput(Connection& connection, std::span<char>) override {
        connection.RestartWait(wait_);
        return 0;
      }
      void OnClosed(Connection& connection, CloseReason reason) override {
        reason_ = reason;
        closed_at_ = connection.worker().now();
      }

     private:
      const Wait wait_;
      CloseReason& reason_;
      TimePoint& closed_at_;
    };
    class WaitProtocol : public Protocol {
     public:
      explicit WaitProtocol(Wait wait) : wait_(wait) {}
      std::string_view name() const override { return "waits"; }
      std::unique_ptr<Session> NewSession(Connection&) override {
        return std::make_unique<WaitSession>(wait_, reason, closed_at);
      }
      CloseReason reason = CloseReason::kNone;
      TimePoint closed_at = 0;

     private:
      const Wait wait_;
    };
    WaitProtocol protocol(c.wait);
    SimulatedEngine engine(world_, protocol, Defaults());
    const auto peer = engine.ConnectPeer();
    engine.RunFor(milliseconds(50));
    const TimePoint begun = world_.now();
    peer->PeerSend("x");
    engine.RunFor(milliseconds(250));
    EXPECT_EQ(CloseReasonName(protocol.reason), CloseReasonName(c.reason));
    EXPECT_GE(protocol.closed_at, begun + c.timeout_ms * kMillisecond);
    EXPECT_LE(protocol.closed_at, begun + (c.timeout_ms + 2) * kMillisecond);
    engine.ExpectNothingLeft();
  }
}

}  // namespace
}  // namespace ringmaster::simulation
