#include "protocols/websocket/service/close_handshake.h"

#include "tests/protocols/websocket/service/socket_fixture.h"

namespace ringmaster::websocket {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class CloseHandshakeTest : public SocketFixture {
 protected:
  void ExpectClosed(uint16_t code, CloseReason cause) {
    EXPECT_EQ(connection(), nullptr);
    EXPECT_EQ(close_count_, 1);
    EXPECT_EQ(close_.code, code);
    EXPECT_EQ(CloseReasonName(close_.cause), CloseReasonName(cause));
  }
};

TEST_F(CloseHandshakeTest, EchoesThePeersStatusCodeOnceAndClosesFirst) {
  Open();
  Feed(Frame(Opcode::kClose, ClosePayloadBytes(3001, "done")));
  EXPECT_EQ(Frames(), Closed(3001));
  EXPECT_TRUE(peer_->peer_sees_end());
  peer_->PeerClose();
  AdvanceTime(milliseconds(1));
  ExpectClosed(3001, CloseReason::kPeerClosed);
  EXPECT_EQ(close_reason_, "done");
}

TEST_F(CloseHandshakeTest, AnswersACloseWithoutACodeWithoutACode) {
  Open();
  Feed(Frame(Opcode::kClose, ""));
  EXPECT_EQ(Frames(), "close:;");
  peer_->PeerClose();
  AdvanceTime(milliseconds(1));
  ExpectClosed(1005, CloseReason::kPeerClosed);
}

TEST_F(CloseHandshakeTest, AnswersWhatCameBeforeACloseAndNothingBehindIt) {
  Open();
  Feed(Frame(Opcode::kText, "one") + Frame(Opcode::kPing, "p") +
       Frame(Opcode::kClose, ClosePayloadBytes(1000)) + Frame(Opcode::kText, "late") +
       Frame(Opcode::kPing, "late"));
  EXPECT_EQ(Frames(), "text:one;pong:p;" + Closed(1000));
}

TEST_F(CloseHandshakeTest, WaitsForThePeersCloseAfterItsOwn) {
  Open();
  socket().Close(4000, "enough");
  EXPECT_FALSE(socket().open());
  EXPECT_EQ(socket().SendText("too late"), SendResult::kClosed);
  EXPECT_EQ(socket().Ping(), SendResult::kClosed);
  socket().Close(4001);
  Feed(Frame(Opcode::kText, "on the way") + Frame(Opcode::kPing, "on the way"));
  EXPECT_EQ(Frames(), Closed(4000, "enough"));
  EXPECT_FALSE(peer_->peer_sees_end());
  Feed(Frame(Opcode::kClose, ClosePayloadBytes(4000, "agreed")));
  EXPECT_EQ(Frames(), "");
  EXPECT_TRUE(peer_->peer_sees_end());
  peer_->PeerClose();
  AdvanceTime(milliseconds(1));
  ExpectClosed(4000, CloseReason::kLocal);
  EXPECT_EQ(close_reason_, "agreed");
}

TEST_F(CloseHandshakeTest, DoesNotWaitForeverForThePeersClose) {
  stream_.timeouts.close = seconds(5);
  Open();
  socket().Close();
  // Neither messages nor pings extend the wait.
  for (int i = 0; i < 4; ++i) {
    AdvanceTime(seconds(1));
    Feed(Frame(Opcode::kPing, "still here"));
  }
  EXPECT_NE(connection(), nullptr);
  AdvanceTime(seconds(2));
  ExpectClosed(1000, CloseReason::kCloseTimeout);
  EXPECT_EQ(Frames(), Closed(1000));
}

TEST_F(CloseHandshakeTest, CutsALongReasonBetweenCharacters) {
  Open();
  socket().Close(1000, std::string(122, 'r') + "\xC3\xA9");
  AdvanceTime(milliseconds(1));
  EXPECT_EQ(Frames(), Closed(1000, std::string(122, 'r')));
}

TEST_F(CloseHandshakeTest, RefusesCodesThatAreNeverSent) {
  Open();
  for (const int code : {0, 999, 1004, 1005, 1006, 1015, 2999, 5000}) {
    EXPECT_THROW(socket().Close(static_cast<uint16_t>(code)), std::invalid_argument) << code;
  }
  EXPECT_THROW(socket().Close(1000, "\xFF"), std::invalid_argument);
  EXPECT_TRUE(socket().open());
}

TEST_F(CloseHandshakeTest, TellsThePeerWhatItBrokeAfterAnsweringWhatCameBefore) {
  struct Case {
    std::string frame;
    uint16_t code;
    CloseReason cause;
    int counter;
  };
  const WebSocketCounters& slots = WebSocketCounters::Get();
  route_.limits.message_bytes_max = 1000;
  for (const Case& c :
       {Case{"\xF1", 1002, CloseReason::kProtocolError, slots.failed_protocol_error},
        Case{Frame(Opcode::kText, "\xFF"), 1007, CloseReason::kProtocolError,
             slots.failed_invalid_utf8},
        Case{Frame(Opcode::kText, std::string(1001, 'x')), 1009, CloseReason::kLimit,
             slots.failed_message_limit},
        Case{Frame(Opcode::kClose, ClosePayloadBytes(1006)), 1002, CloseReason::kProtocolError,
             slots.failed_protocol_error}}) {
    const uint64_t before = Count(c.counter);
    close_count_ = 0;
    peer_parser_ = FrameParser(Role::kClient);
    Open();
    Feed(Frame(Opcode::kText, "before") + c.frame + Frame(Opcode::kText, "behind"));
    EXPECT_EQ(Frames(), "text:before;" + Closed(c.code));
    EXPECT_TRUE(peer_->peer_sees_end());
    EXPECT_FALSE(peer_->peer_sees_reset());
    peer_->PeerClose();
    AdvanceTime(milliseconds(1));
    ExpectClosed(c.code, c.cause);
    EXPECT_EQ(Count(c.counter), before + 1);
  }
}

TEST_F(CloseHandshakeTest, APeerThatGoesWithoutACloseFrameIsAbnormal) {
  Open();
  peer_->PeerFinish();
  AdvanceTime(milliseconds(1));
  ExpectClosed(1006, CloseReason::kPeerClosed);
  close_count_ = 0;
  Open();
  peer_->PeerReset();
  AdvanceTime(milliseconds(1));
  ExpectClosed(1006, CloseReason::kPeerReset);
}

TEST_F(CloseHandshakeTest, AStoppingServerSaysGoingAwayAndWaitsForTheAnswer) {
  Open();
  worker_->Stop();
  AdvanceTime(milliseconds(1));
  EXPECT_EQ(Frames(), Closed(1001));
  EXPECT_NE(connection(), nullptr);
  peer_->PeerSend(Frame(Opcode::kClose, ClosePayloadBytes(1001)));
  AdvanceTime(milliseconds(1));
  EXPECT_TRUE(peer_->peer_sees_end());
  peer_->PeerClose();
  AdvanceTime(milliseconds(1));
  ExpectClosed(1001, CloseReason::kServerStopping);
}

TEST_F(CloseHandshakeTest, AHandlerThatThrowsCostsItsOwnConnection) {
  route_.on_message = [](auto& peer, const Message& message) {
    if (message.bytes == "throw") throw std::runtime_error("as asked");
    peer.Send(message);
  };
  Open();
  Feed(Frame(Opcode::kText, "a") + Frame(Opcode::kText, "throw") + Frame(Opcode::kText, "b"));
  EXPECT_EQ(Frames(), "text:a;" + Closed(1011));
  peer_->PeerClose();
  AdvanceTime(milliseconds(1));
  ExpectClosed(1011, CloseReason::kHandlerError);
}

TEST_F(CloseHandshakeTest, AThrowingOpenHandlerIsAHandlerToo) {
  route_.on_open = [](auto&) { throw std::runtime_error("as asked"); };
  Open(Frame(Opcode::kText, "behind"));
  EXPECT_EQ(Frames(), Closed(1011));
  peer_->PeerClose();
  AdvanceTime(milliseconds(1));
  ExpectClosed(1011, CloseReason::kHandlerError);
}

}  // namespace
}  // namespace ringmaster::websocket
