#include "tests/engine/simulation/moves.h"

#include <memory>
#include <string>
#include <vector>

#include "engine/base/log.h"
#include "engine/connection/connection.h"
#include "gtest/gtest.h"
#include "tests/engine/simulation/echo_protocol.h"
#include "tests/engine/simulation/simulated_engine.h"
#include "tests/engine/time_points.h"

// A connection that is moved again and again, or told to and then left where it is, has its
// deadlines to the millisecond all the same.

namespace ringmaster::simulation {
namespace {

using std::chrono::milliseconds;

enum class Kind : uint8_t { kMoves, kIsCalledOff, kIsCalledOffAtOnce };

class MovesTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    static_cast<void>(log::Setup("off", "text", "", "test"));
    SimulatedEngine::Options options;
    Timeouts& timeouts = options.stream.timeouts;
    timeouts.handshake = milliseconds(100);
    timeouts.message = milliseconds(200);
    timeouts.read = milliseconds(300);
    timeouts.write = milliseconds(400);
    timeouts.close = milliseconds(500);
    engine_ = std::make_unique<SimulatedEngine>(world_, protocol_, options);
    engine_->ring().set_turn_hook([this] { OnTurn(); });
    world_.After(milliseconds(1), [this] { Tick(); });
  }

  // 13 ms: not a part of any timeout.
  void Tick() {
    begin_ = true;
    engine_->Post([] {});
    if (ticks_left_-- > 0) world_.After(milliseconds(13), [this] { Tick(); });
  }

  void OnTurn() {
    Connection* const connection =
        protocol_.records().empty() ? nullptr : engine_->worker().Find(record().connection_id);
    using Step = HandoffTestPeer::Step;
    if (under_way_) {
      Step step = HandoffTestPeer::Look(engine_->worker(), ref_);
      if (step == Step::kStanding) {
        if (GetParam() == Kind::kMoves) {
          step = HandoffTestPeer::Move(engine_->worker(), ref_);
          EXPECT_EQ(step, Step::kMoved);
          ++moves_;
        } else {
          HandoffTestPeer::StayHere(engine_->worker(), ref_);
          ++moves_;
        }
      }
      under_way_ = step == Step::kNotYet;
      // What goes on does so in the next turn, which must not wait for anything.
      if (!under_way_) engine_->Post([] {});
    } else if (begin_ && connection != nullptr && HandoffTestPeer::Begin(*connection, ref_)) {
      under_way_ = true;
      engine_->Post([] {});
      if (GetParam() == Kind::kIsCalledOffAtOnce) {
        // What it cancelled is still in flight.
        HandoffTestPeer::StayHere(engine_->worker(), ref_);
        under_way_ = false;
        ++moves_;
      }
    }
    begin_ = false;
  }

  void Connect(const SimulatedStream::Room& room = {}) {
    protocol_.records().push_back(std::make_unique<ConnectionRecord>());
    peer_ = engine_->ConnectPeer(room, EchoProtocol::AddressOf(0, 0));
  }
  ConnectionRecord& record() { return *protocol_.records().back(); }

  void ExpectClosed(CloseReason reason, TimePoint since, int milliseconds_wanted) {
    EXPECT_EQ(record().closed_count, 1);
    EXPECT_EQ(CloseReasonName(record().close_reason), CloseReasonName(reason));
    EXPECT_GE(record().closed_at, since + milliseconds_wanted * kMillisecond);
    EXPECT_LE(record().closed_at, since + (milliseconds_wanted + 2) * kMillisecond);
    EXPECT_GT(moves_, 5);
    engine_->ExpectNothingLeft();
  }

  World world_{1};
  EchoProtocol protocol_{world_};
  std::unique_ptr<SimulatedEngine> engine_;
  std::shared_ptr<SimulatedStream> peer_;
  SlabPlace ref_{};
  bool begin_ = false;
  bool under_way_ = false;
  int ticks_left_ = 100;
  int moves_ = 0;
};

TEST_P(MovesTest, TheFirstByte) {
  Connect();
  engine_->RunFor(milliseconds(200));
  ExpectClosed(CloseReason::kHandshakeTimeout, record().opened_at, 100);
}

TEST_P(MovesTest, AMessageFromItsFirstByte) {
  Connect();
  engine_->RunFor(milliseconds(30));
  const std::string request = EncodeRequest(Command::kEcho, "never complete");
  TimePoint begun_at = 0;
  for (int i = 0; i < 10; ++i) {
    peer_->PeerSend(request.substr(i, 1));
    engine_->RunFor(milliseconds(10));
    if (i == 0) begun_at = record().item_begun_at;
  }
  engine_->RunFor(milliseconds(200));
  ExpectClosed(CloseReason::kMessageTimeout, begun_at, 200);
}

TEST_P(MovesTest, IdleFromTheLastByte) {
  Connect();
  peer_->PeerSend(EncodeRequest(Command::kEcho, "hello"));
  engine_->RunFor(milliseconds(400));
  ExpectClosed(CloseReason::kReadTimeout, record().last_input_at, 300);
}

TEST_P(MovesTest, AStuckSendFromItsLastProgress) {
  Connect({.to_peer_bytes = 1000});
  peer_->PeerSend(EncodeLargeRequest(Command::kLarge, 50'000));
  engine_->RunFor(milliseconds(100));
  const TimePoint made_room_at = world_.now();
  EXPECT_EQ(peer_->PeerRead(500).size(), 500u);
  engine_->RunFor(milliseconds(500));
  ExpectClosed(CloseReason::kWriteTimeout, made_room_at, 400);
}

TEST_P(MovesTest, LingeringFromItsBegin) {
  Connect();
  peer_->PeerSend(EncodeRequest(Command::kEcho, "hello"));
  engine_->RunFor(milliseconds(50));
  const TimePoint begun_at = world_.now();
  peer_->PeerSend(EncodeRequest(Command::kCloseLinger, "bye"));
  engine_->RunFor(milliseconds(600));
  ExpectClosed(CloseReason::kLocal, begun_at, 500);
}

TEST_P(MovesTest, ALifetimeSetFromCode) {
  Connect();
  peer_->PeerSend(EncodeRequest(Command::kEcho, "hello"));
  engine_->RunFor(milliseconds(5));
  engine_->Post([this] {
    engine_->worker()
        .Find(record().connection_id)
        ->SetTimeout(&Timeouts::lifetime, milliseconds(250));
  });
  engine_->RunFor(milliseconds(300));
  ExpectClosed(CloseReason::kLifetime, record().opened_at, 250);
}

INSTANTIATE_TEST_SUITE_P(All, MovesTest,
                         testing::Values(Kind::kMoves, Kind::kIsCalledOff,
                                         Kind::kIsCalledOffAtOnce));

}  // namespace
}  // namespace ringmaster::simulation
