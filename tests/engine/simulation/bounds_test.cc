#include <functional>
#include <memory>
#include <vector>

#include "engine/base/log.h"
#include "engine/connection/connection_record.h"
#include "gtest/gtest.h"
#include "tests/engine/simulation/simulated_engine.h"
#include "tests/engine/time_points.h"

// Bounds that code changes while a connection lives, to the millisecond, on the simulated ring.

namespace ringmaster::simulation {
namespace {

using std::chrono::milliseconds;

// Does with its input what the test says.
class FreeSession;
class FreeProtocol final : public Protocol {
 public:
  std::string_view name() const override { return "free"; }
  std::unique_ptr<Session> NewSession(Connection& connection) override;

  std::function<void(Connection&)> on_open;
  // Returns the bytes consumed.
  std::function<size_t(Connection&, size_t bytes)> on_input = [](Connection& connection,
                                                                 size_t bytes) {
    connection.ClearWait();
    return bytes;
  };
  std::function<void(Connection&)> on_timeout;
  std::function<void(Connection&)> on_killed;

  uint64_t id = 0;
  TimePoint opened_at = 0;
  TimePoint closed_at = 0;
  CloseReason reason = CloseReason::kNone;
};

class FreeSession final : public Session {
 public:
  explicit FreeSession(FreeProtocol& protocol) : protocol_(protocol) {}
  size_t OnInput(Connection& connection, std::span<char> input) override {
    return protocol_.on_input(connection, input.size());
  }
  void OnTimeout(Connection& connection, CloseReason) override {
    if (protocol_.on_timeout) protocol_.on_timeout(connection);
  }
  void OnKilled(Connection& connection) override {
    if (protocol_.on_killed) {
      protocol_.on_killed(connection);
    } else {
      Session::OnKilled(connection);
    }
  }
  void OnClosed(Connection& connection, CloseReason reason) override {
    protocol_.closed_at = connection.worker().now();
    protocol_.reason = reason;
  }

 private:
  FreeProtocol& protocol_;
};

std::unique_ptr<Session> FreeProtocol::NewSession(Connection& connection) {
  id = connection.id();
  opened_at = connection.worker().now();
  closed_at = 0;
  reason = CloseReason::kNone;
  if (on_open) on_open(connection);
  return std::make_unique<FreeSession>(*this);
}

class BoundsTest : public testing::Test {
 protected:
  void SetUp() override {
    static_cast<void>(log::Setup("off", "text", "", "test"));
    Timeouts& timeouts = options_.stream.timeouts;
    timeouts.handshake = milliseconds(100);
    timeouts.header = milliseconds(110);
    timeouts.body = milliseconds(120);
    timeouts.message = milliseconds(200);
    timeouts.read = milliseconds(300);
    timeouts.write = milliseconds(400);
    timeouts.close = milliseconds(500);
  }

  void Connect(const SimulatedStream::Room& room = {}) {
    if (engine_ == nullptr) {
      engine_ = std::make_unique<SimulatedEngine>(world_, protocol_, options_);
    }
    peer_ = engine_->ConnectPeer(room);
    RunFor(milliseconds(1));
  }
  void RunFor(Duration duration) { engine_->RunFor(duration); }
  Connection& connection() {
    Connection* const found = engine_->worker().Find(protocol_.id);
    EXPECT_NE(found, nullptr);
    return *found;
  }
  bool open() { return engine_->worker().Find(protocol_.id) != nullptr; }
  ringmaster::ConnectionRecord Described() {
    ringmaster::ConnectionRecord record;
    connection().Describe(record);
    return record;
  }
  void ExpectClosed(CloseReason reason, TimePoint since, int milliseconds_wanted) {
    EXPECT_EQ(CloseReasonName(protocol_.reason), CloseReasonName(reason));
    EXPECT_GE(protocol_.closed_at, since + milliseconds_wanted * kMillisecond);
    EXPECT_LE(protocol_.closed_at, since + (milliseconds_wanted + 2) * kMillisecond);
    engine_->ExpectNothingLeft();
  }

  World world_{1};
  SimulatedEngine::Options options_;
  FreeProtocol protocol_;
  std::unique_ptr<SimulatedEngine> engine_;
  std::shared_ptr<SimulatedStream> peer_;
};

TEST_F(BoundsTest, AShorterReadTimeoutCountsFromTheLastByteAtOnce) {
  Connect();
  peer_->PeerSend("x");
  RunFor(milliseconds(20));
  const TimePoint last_byte = connection().last_activity();
  connection().SetTimeout(&Timeouts::read, milliseconds(50));
  RunFor(milliseconds(100));
  ExpectClosed(CloseReason::kReadTimeout, last_byte, 50);
}

TEST_F(BoundsTest, ALongerReadTimeoutKeepsAPeerThatTheArmedOneWouldHaveClosed) {
  Connect();
  peer_->PeerSend("x");
  RunFor(milliseconds(290));
  const TimePoint last_byte = connection().last_activity();
  connection().SetTimeout(&Timeouts::read, milliseconds(1000));
  RunFor(milliseconds(900));
  ExpectClosed(CloseReason::kReadTimeout, last_byte, 1000);
}

TEST_F(BoundsTest, AReadTimeoutCanBeSwitchedOffAndOnAgain) {
  Connect();
  peer_->PeerSend("x");
  RunFor(milliseconds(10));
  connection().SetTimeout(&Timeouts::read, Duration::zero());
  RunFor(milliseconds(5000));
  ASSERT_TRUE(open());
  EXPECT_EQ(Described().deadline, kNever);
  // It is over already: closed in the next turn.
  const TimePoint now = world_.now();
  connection().SetTimeout(&Timeouts::read, milliseconds(300));
  RunFor(milliseconds(50));
  ExpectClosed(CloseReason::kReadTimeout, now, 0);
}

TEST_F(BoundsTest, AnItemThatIsWaitedForIsCountedFromItsBegin) {
  struct Case {
    Wait wait;
    Duration Timeouts::*timeout;
    CloseReason reason;
  };
  for (const Case& c : {Case{Wait::kHeader, &Timeouts::header, CloseReason::kHeaderTimeout},
                        Case{Wait::kBody, &Timeouts::body, CloseReason::kBodyTimeout},
                        Case{Wait::kMessage, &Timeouts::message, CloseReason::kMessageTimeout}}) {
    for (const int bound : {60, 600}) {
      SCOPED_TRACE(CloseReasonName(c.reason));
      protocol_.on_input = [&](Connection& connection, size_t) -> size_t {
        connection.RestartWait(c.wait);
        return 0;
      };
      engine_ = nullptr;
      Connect();
      peer_->PeerSend("x");
      RunFor(milliseconds(30));
      const TimePoint begun = connection().last_activity();
      connection().SetTimeout(c.timeout, milliseconds(bound));
      RunFor(milliseconds(700));
      ExpectClosed(c.reason, begun, bound);
    }
  }
}

TEST_F(BoundsTest, TheHandshakeIsBoundedByWhatWasSetWhenTheSessionWasMade) {
  protocol_.on_open = [](Connection& connection) {
    connection.SetTimeout(&Timeouts::handshake, milliseconds(40));
  };
  Connect();
  RunFor(milliseconds(100));
  ExpectClosed(CloseReason::kHandshakeTimeout, protocol_.opened_at, 40);
}

TEST_F(BoundsTest, ALifetimeSetLaterCountsFromTheAccept) {
  Connect();
  for (int i = 0; i < 3; ++i) {
    peer_->PeerSend("x");
    RunFor(milliseconds(50));
  }
  connection().SetTimeout(&Timeouts::lifetime, milliseconds(200));
  for (int i = 0; i < 6; ++i) {
    peer_->PeerSend("x");
    RunFor(milliseconds(20));
  }
  ExpectClosed(CloseReason::kLifetime, protocol_.opened_at, 200);
}

TEST_F(BoundsTest, ALifetimeMayBeMadeLongerShorterAndEndless) {
  options_.stream.timeouts.lifetime = milliseconds(100);
  options_.stream.timeouts.handshake = Duration::zero();
  options_.stream.timeouts.read = Duration::zero();
  Connect();
  RunFor(milliseconds(90));
  connection().SetTimeout(&Timeouts::lifetime, milliseconds(1000));
  RunFor(milliseconds(800));
  ASSERT_TRUE(open());
  connection().SetTimeout(&Timeouts::lifetime, Duration::zero());
  RunFor(milliseconds(5000));
  ASSERT_TRUE(open());
  // Older than that already.
  const TimePoint now = world_.now();
  connection().SetTimeout(&Timeouts::lifetime, milliseconds(2000));
  RunFor(milliseconds(50));
  ExpectClosed(CloseReason::kLifetime, now, 0);
}

// The options of a route used to leave the lifetime of the listener in force.
TEST_F(BoundsTest, TheLifetimeOfARouteTakesThePlaceOfTheListeners) {
  options_.stream.timeouts.lifetime = milliseconds(2000);
  options_.stream.timeouts.handshake = Duration::zero();
  options_.stream.timeouts.read = Duration::zero();
  StreamOptions route = options_.stream;
  route.timeouts.lifetime = milliseconds(150);
  Connect();
  RunFor(milliseconds(50));
  connection().SetOptions(route);
  RunFor(milliseconds(150));
  ExpectClosed(CloseReason::kLifetime, protocol_.opened_at, 150);
}

// A timer of twelve hours used to stay behind for every connection that had ended long before.
TEST_F(BoundsTest, NoTimerIsKeptForAConnectionThatHasEnded) {
  options_.stream.timeouts.lifetime = std::chrono::hours(12);
  Connect();
  const size_t timers = engine_->worker().timer_count();
  EXPECT_GE(timers, 1u);
  peer_->PeerSend("x");
  RunFor(milliseconds(10));
  connection().Abort(CloseReason::kLocal);
  RunFor(milliseconds(10));
  ASSERT_FALSE(open());
  EXPECT_EQ(engine_->worker().timer_count(), timers - 1);
  engine_->ExpectNothingLeft();
}

// A connection that was closing slowly was not bounded by its lifetime: each byte that the peer
// took gave it the write timeout anew.
TEST_F(BoundsTest, TheLifetimeBoundsAFlushThatThePeerStretches) {
  options_.stream.timeouts.lifetime = milliseconds(1000);
  protocol_.on_input = [](Connection& connection, size_t bytes) {
    connection.Send(std::string(50'000, 'x'));
    connection.CloseAfterFlush(CloseReason::kLocal);
    return bytes;
  };
  Connect({.to_peer_bytes = 1000});
  peer_->PeerSend("x");
  for (int i = 0; i < 11; ++i) {
    RunFor(milliseconds(100));
    peer_->PeerRead(1);
  }
  ExpectClosed(CloseReason::kLifetime, protocol_.opened_at, 1000);
}

TEST_F(BoundsTest, TheNextStuckSendHasTheNewWriteTimeout) {
  options_.stream.timeouts.read = Duration::zero();
  protocol_.on_input = [](Connection& connection, size_t bytes) {
    connection.ClearWait();
    connection.Send(std::string(50'000, 'x'));
    return bytes;
  };
  Connect({.to_peer_bytes = 1000});
  peer_->PeerSend("x");
  RunFor(milliseconds(100));
  connection().SetTimeout(&Timeouts::write, milliseconds(50));
  RunFor(milliseconds(200));
  ASSERT_TRUE(open()) << "the armed one keeps its time";
  EXPECT_EQ(Described().deadline_reason, CloseReason::kWriteTimeout);
  peer_->PeerRead(500);
  const TimePoint progress = world_.now();
  RunFor(milliseconds(200));
  ExpectClosed(CloseReason::kWriteTimeout, progress, 50);
}

TEST_F(BoundsTest, TimeoutsOfCodeStayWhateverRouteIsServed) {
  StreamOptions route = options_.stream;
  route.timeouts.read = milliseconds(77);
  route.timeouts.message = milliseconds(88);
  route.send_queue_bytes_max = 12345;
  Connect();
  peer_->PeerSend("x");
  RunFor(milliseconds(1));
  connection().SetTimeout(&Timeouts::read, milliseconds(900));
  connection().SetOptions(route);
  EXPECT_EQ(connection().options().timeouts.read, milliseconds(900));
  EXPECT_EQ(connection().options().timeouts.message, milliseconds(88));
  EXPECT_EQ(connection().options().send_queue_bytes_max, 12345u);
  EXPECT_EQ(&connection().shared_options(), &route);
  // "As they are" changes nothing.
  connection().SetOptions(connection().options());
  EXPECT_EQ(&connection().shared_options(), &route);
  connection().ResetTimeouts();
  EXPECT_EQ(&connection().options(), &route);
  RunFor(milliseconds(100));
  EXPECT_EQ(protocol_.reason, CloseReason::kReadTimeout);
  engine_->ExpectNothingLeft();
}

TEST_F(BoundsTest, SetTimeoutsSetsAllOfThem) {
  Connect();
  Timeouts timeouts;
  timeouts.read = milliseconds(1);
  timeouts.lifetime = std::chrono::hours(1);
  connection().SetTimeouts(timeouts);
  connection().SetOptions(options_.stream);
  EXPECT_TRUE(connection().options().timeouts == timeouts);
  engine_->ExpectNothingLeft();
}

TEST_F(BoundsTest, AnExpiryBoundsItsGoodbyeByTheCloseTimeout) {
  protocol_.on_timeout = [](Connection& connection) { connection.Send(std::string(9'000, 'x')); };
  Connect({.to_peer_bytes = 1000});
  peer_->PeerSend("x");
  RunFor(milliseconds(301));
  const TimePoint expired = protocol_.opened_at;
  // A byte now and then.
  for (int i = 0; i < 12; ++i) {
    RunFor(milliseconds(50));
    peer_->PeerRead(1);
  }
  EXPECT_EQ(protocol_.reason, CloseReason::kReadTimeout);
  EXPECT_LE(protocol_.closed_at, expired + 820 * kMillisecond);
  engine_->ExpectNothingLeft();
}

TEST_F(BoundsTest, AKillAbortsASessionThatHasNoGoodbye) {
  Connect();
  peer_->PeerSend("x");
  RunFor(milliseconds(10));
  EXPECT_TRUE(engine_->worker().Kill(protocol_.id));
  const TimePoint now = world_.now();
  RunFor(milliseconds(10));
  EXPECT_FALSE(engine_->worker().Kill(protocol_.id)) << "there is no such connection any more";
  ExpectClosed(CloseReason::kKilled, now, 0);
}

TEST_F(BoundsTest, AKillBoundsTheGoodbyeAndASecondOneEndsIt) {
  protocol_.on_killed = [](Connection& connection) {
    connection.Send(std::string(9'000, 'x'));
    connection.CloseAfterFlush(CloseReason::kKilled);
  };
  for (const bool twice : {false, true}) {
    engine_ = nullptr;
    Connect({.to_peer_bytes = 1000});
    peer_->PeerSend("x");
    RunFor(milliseconds(10));
    connection().Kill();
    const TimePoint killed = world_.now();
    RunFor(milliseconds(100));
    ASSERT_TRUE(open());
    if (twice) connection().Kill();
    const TimePoint killed_again = world_.now();
    for (int i = 0; i < 12; ++i) {
      peer_->PeerRead(1);
      RunFor(milliseconds(50));
    }
    ExpectClosed(CloseReason::kKilled, twice ? killed_again : killed, twice ? 0 : 500);
  }
}

TEST_F(BoundsTest, ADescriptionNamesTheNextDeadline) {
  protocol_.on_input = [](Connection& connection, size_t bytes) -> size_t {
    if (bytes < 2) {
      connection.SetWait(Wait::kMessage);
      return 0;
    }
    connection.ClearWait();
    connection.CountMessage();
    return bytes;
  };
  Connect();
  EXPECT_EQ(Described().deadline_reason, CloseReason::kHandshakeTimeout);
  EXPECT_EQ(Described().deadline, protocol_.opened_at + 100 * kMillisecond);
  peer_->PeerSend("xy");
  RunFor(milliseconds(10));
  EXPECT_EQ(Described().deadline_reason, CloseReason::kReadTimeout);
  EXPECT_EQ(Described().deadline, connection().last_activity() + 300 * kMillisecond);
  EXPECT_EQ(Described().messages, 1u);
  EXPECT_EQ(Described().bytes_received, 2u);
  peer_->PeerSend("x");
  RunFor(milliseconds(10));
  EXPECT_EQ(Described().deadline_reason, CloseReason::kMessageTimeout);
  connection().SetTimeout(&Timeouts::lifetime, milliseconds(100));
  EXPECT_EQ(Described().deadline_reason, CloseReason::kLifetime);
  EXPECT_EQ(Described().deadline, protocol_.opened_at + 100 * kMillisecond);
  EXPECT_EQ(Described().state, ringmaster::ConnectionRecord::State::kOpen);
  engine_->ExpectNothingLeft();
}

}  // namespace
}  // namespace ringmaster::simulation
