#include "protocols/websocket/service/socket_session.h"

#include "protocols/websocket/service/websocket_counters.h"
#include "tests/protocols/websocket/service/allocation_count.h"
#include "tests/protocols/websocket/service/socket_fixture.h"

namespace ringmaster::websocket {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class SocketSessionTest : public SocketFixture {};

TEST_F(SocketSessionTest, EchoesMessagesOfEveryLengthForm) {
  Open();
  for (const size_t bytes : {0, 1, 125, 126, 4000, 40'000}) {
    const std::string payload(bytes, 'e');
    Feed(Frame(Opcode::kText, payload));
    EXPECT_EQ(Frames(), "text:" + payload + ";");
  }
  Feed(Frame(Opcode::kBinary, "\xFF\x00"));
  EXPECT_EQ(Frames(), std::string("binary:\xFF;"));
}

TEST_F(SocketSessionTest, CountsMessagesAndControlFramesByOpcode) {
  Open();
  Feed(Frame(Opcode::kText, "frag", false) + Frame(Opcode::kPing, "now") +
       Frame(Opcode::kContinuation, "ments") + Frame(Opcode::kBinary, "xyz"));
  Feed(Frame(Opcode::kPong, "") + Frame(Opcode::kClose, ClosePayloadBytes(1000, "bye")));
  const WebSocketCounters& slots = WebSocketCounters::Get();
  const auto received = [&](Opcode opcode) {
    return Count(slots.received[static_cast<size_t>(opcode)]);
  };
  const auto sent = [&](Opcode opcode) { return Count(slots.sent[static_cast<size_t>(opcode)]); };
  // Fragments are one message.
  EXPECT_EQ(received(Opcode::kText), 1u);
  EXPECT_EQ(received(Opcode::kBinary), 1u);
  EXPECT_EQ(received(Opcode::kPing), 1u);
  EXPECT_EQ(received(Opcode::kPong), 1u);
  EXPECT_EQ(received(Opcode::kClose), 1u);
  EXPECT_EQ(sent(Opcode::kText), 1u);
  EXPECT_EQ(sent(Opcode::kBinary), 1u);
  EXPECT_EQ(sent(Opcode::kPing), 0u);
  EXPECT_EQ(sent(Opcode::kPong), 1u);
  EXPECT_EQ(sent(Opcode::kClose), 1u);
  EXPECT_EQ(Count(slots.received_bytes[static_cast<size_t>(Opcode::kText)]), 9u);
  EXPECT_EQ(Count(slots.sent_bytes[static_cast<size_t>(Opcode::kBinary)]), 3u);
}

TEST_F(SocketSessionTest, EchoesALargeMessageThatComesInPieces) {
  route_.limits.message_bytes_max = 16u << 20;
  stream_.send_queue_bytes_high = 32u << 20;
  Open();
  const std::string payload(3u << 20, 'L');
  std::string frame = Frame(Opcode::kBinary, payload);
  std::string got;
  for (int turns = 0; turns < 10'000 && got.empty(); ++turns) {
    frame.erase(0, peer_->PeerSend(frame));
    AdvanceTime(milliseconds(1));
    got = Frames();
  }
  EXPECT_TRUE(got == "binary:" + payload + ";");
}

TEST_F(SocketSessionTest, MessagesBehindTheHandshakeAreAnswered) {
  route_.on_open = [this](auto& peer) {
    id_ = peer.id();
    peer.context().name = "anon";
    EXPECT_EQ(peer.request().path, "/chat");
    peer.SendText("welcome");
  };
  Open(Frame(Opcode::kText, "early"));
  EXPECT_EQ(Frames(), "text:welcome;text:early;");
  EXPECT_EQ(socket().context().name, "anon");
}

TEST_F(SocketSessionTest, ReassemblesFragmentsAndAnswersPingsBetweenThem) {
  std::string pings;
  route_.on_ping = [&](auto&, std::string_view payload) { pings += payload; };
  Open();
  Feed(Frame(Opcode::kText, "fra", false) + Frame(Opcode::kPing, "now"));
  EXPECT_EQ(Frames(), "pong:now;");
  Feed(Frame(Opcode::kContinuation, "gments"));
  EXPECT_EQ(Frames(), "text:fragments;");
  EXPECT_EQ(pings, "now");
}

TEST_F(SocketSessionTest, HearsPongs) {
  std::string pongs;
  route_.on_pong = [&](auto&, std::string_view payload) { pongs += payload; };
  Open();
  EXPECT_EQ(socket().Ping("are you there"), SendResult::kQueued);
  EXPECT_THROW(socket().Ping(std::string(126, 'p')), std::invalid_argument);
  AdvanceTime(milliseconds(1));
  EXPECT_EQ(Frames(), "ping:are you there;");
  Feed(Frame(Opcode::kPong, "are you there"));
  EXPECT_EQ(pongs, "are you there");
}

TEST_F(SocketSessionTest, PingsAnIdlePeerAndSaysGoodbyeToADeadOne) {
  stream_.timeouts.read = seconds(10);
  Open();
  AdvanceTime(seconds(6));
  EXPECT_EQ(Frames(), "ping:;");
  Feed(Frame(Opcode::kPong, ""));
  AdvanceTime(seconds(4));
  EXPECT_EQ(Frames(), "");
  AdvanceTime(seconds(2));
  EXPECT_EQ(Frames(), "ping:;");
  AdvanceTime(seconds(5));
  EXPECT_EQ(Frames(), Closed(1001));
  EXPECT_EQ(close_count_, 1);
  EXPECT_EQ(close_.cause, CloseReason::kReadTimeout);
}

TEST_F(SocketSessionTest, AMessageThatDripsInIsCutOff) {
  stream_.timeouts.message = seconds(10);
  stream_.timeouts.read = seconds(60);
  Open();
  const std::string frame = Frame(Opcode::kText, "slow but steady");
  for (size_t i = 0; i < 9; ++i) {
    Feed(frame.substr(i, 1));
    AdvanceTime(seconds(1));
  }
  // A ping between is no end of the message, nor does it extend the time.
  EXPECT_NE(connection(), nullptr);
  AdvanceTime(seconds(2));
  EXPECT_EQ(Frames(), Closed(1008));
  EXPECT_EQ(close_.cause, CloseReason::kMessageTimeout);
}

TEST_F(SocketSessionTest, EveryMessageHasItsOwnTime) {
  stream_.timeouts.message = seconds(10);
  stream_.timeouts.read = seconds(60);
  Open();
  // Each input ends one message and begins the next.
  const std::string frame = Frame(Opcode::kText, "halves");
  Feed(frame.substr(0, 5));
  for (int i = 0; i < 4; ++i) {
    AdvanceTime(seconds(6));
    Feed(frame.substr(5) + frame.substr(0, 5));
    EXPECT_EQ(Frames(), "text:halves;");
  }
  AdvanceTime(seconds(11));
  EXPECT_EQ(Frames(), Closed(1008));
}

TEST_F(SocketSessionTest, ASlowReaderIsHeldBackAndThenDrained) {
  stream_.send_queue_bytes_high = 100'000;
  stream_.send_queue_bytes_low = 10'000;
  stream_.send_queue_bytes_max = 250'000;
  int drained = 0;
  int answered = 0;
  route_.on_message = [&](auto& peer, const Message& message) {
    ++answered;
    peer.Send(message);
  };
  route_.on_drained = [&](auto&) { ++drained; };
  Open();
  EXPECT_EQ(socket().SendBinary(std::string(90'000, 'a')), SendResult::kQueued);
  EXPECT_EQ(socket().SendBinary(std::string(90'000, 'b')), SendResult::kAboveHigh);
  EXPECT_EQ(socket().SendBinary(std::string(90'000, 'c')), SendResult::kFull);
  Feed(Frame(Opcode::kText, "waits"));
  EXPECT_EQ(answered, 0);
  std::string got;
  for (int turns = 0; turns < 100; ++turns) {
    got += Frames();
    AdvanceTime(milliseconds(1));
  }
  EXPECT_EQ(drained, 1);
  EXPECT_EQ(answered, 1);
  EXPECT_TRUE(got == "binary:" + std::string(90'000, 'a') + ";binary:" + std::string(90'000, 'b') +
                         ";text:waits;");
}

TEST_F(SocketSessionTest, BackpressureIsToldOnceAndThenDrained) {
  stream_.send_queue_bytes_high = 100'000;
  stream_.send_queue_bytes_low = 10'000;
  std::string told;
  route_.on_backpressure = [&](auto&) { told += "backpressure;"; };
  route_.on_drained = [&](auto&) { told += "drained;"; };
  Open();
  for (int i = 0; i < 3; ++i) socket().SendBinary(std::string(90'000, 'a'));
  EXPECT_EQ(told, "");
  AdvanceTime(milliseconds(1));
  EXPECT_EQ(told, "backpressure;");
  for (int turns = 0; turns < 100; ++turns) {
    Frames();
    AdvanceTime(milliseconds(1));
  }
  EXPECT_EQ(told, "backpressure;drained;");
}

TEST_F(SocketSessionTest, DropOldestDropsWholeMessagesAndNoPong) {
  stream_.send_queue_bytes_max = 100'000;
  stream_.send_queue_bytes_high = 100'000;
  stream_.send_queue_policy = SendQueuePolicy::kDropOldest;
  Open();
  EXPECT_EQ(socket().SendText("first"), SendResult::kQueued);
  EXPECT_EQ(socket().Ping("kept"), SendResult::kQueued);
  EXPECT_EQ(socket().SendBinary(std::string(60'000, 'b')), SendResult::kQueued);
  EXPECT_EQ(socket().SendBinary(std::string(60'000, 'c')), SendResult::kDroppedOldest);
  std::string got;
  for (int turns = 0; turns < 50; ++turns) {
    AdvanceTime(milliseconds(1));
    got += Frames();
  }
  EXPECT_TRUE(got == "ping:kept;binary:" + std::string(60'000, 'c') + ";") << got.substr(0, 50);
}

TEST_F(SocketSessionTest, PolicyCloseSaysGoodbyeWith1008) {
  stream_.send_queue_bytes_max = 100'000;
  stream_.send_queue_policy = SendQueuePolicy::kClose;
  Open();
  EXPECT_EQ(socket().SendBinary(std::string(99'000, 'a')), SendResult::kQueued);
  EXPECT_EQ(socket().SendBinary(std::string(9'000, 'b')), SendResult::kClosed);
  EXPECT_FALSE(socket().open());
  EXPECT_EQ(socket().SendText("c"), SendResult::kClosed);
  std::string got;
  for (int turns = 0; turns < 50; ++turns) {
    AdvanceTime(milliseconds(1));
    got += Frames();
  }
  EXPECT_TRUE(got == "binary:" + std::string(99'000, 'a') + ";" + Closed(1008));
  // It lingers for the peer's FIN: a reset would destroy what the peer has not read.
  AdvanceTime(stream_.timeouts.close + milliseconds(1));
  EXPECT_EQ(close_.cause, CloseReason::kSendQueueFull);
  EXPECT_EQ(close_.code, 1008);
}

TEST_F(SocketSessionTest, ReportsAMessageThatItPutsTogether) {
  Open();
  const std::string frame = Frame(Opcode::kBinary, std::string(20'000, 'x'));
  Feed(frame.substr(0, 15'000));
  EXPECT_GE(counters_.buffered_input_bytes.Get(), 15'000u);
  Feed(frame.substr(15'000));
  AdvanceTime(milliseconds(1));
  EXPECT_EQ(counters_.buffered_input_bytes.Get(), 0u);
}

// A peer that takes its output in sips was asked to go and did not have to: each sip restarted the
// write timeout, and the closing handshake behind the output had no deadline of its own.
TEST_F(SocketSessionTest, AClosingHandshakeBehindASlowReaderIsBoundedByTheCloseTimeout) {
  stream_.send_queue_bytes_high = 100'000;
  stream_.send_queue_bytes_low = 10'000;
  stream_.timeouts.write = seconds(5);
  stream_.timeouts.close = seconds(8);
  Start();
  peer_ = ring_->ConnectPeer(listening_fd_, {.to_peer_bytes = 1000});
  peer_->PeerSend("U");
  AdvanceTime(milliseconds(1));
  peer_->PeerRead(SIZE_MAX);
  EXPECT_EQ(socket().SendBinary(std::string(200'000, 'a')), SendResult::kAboveHigh);
  AdvanceTime(seconds(1));
  socket().Close(1000);
  for (int i = 0; i < 7; ++i) {
    peer_->PeerRead(500);
    AdvanceTime(seconds(1));
  }
  EXPECT_EQ(close_count_, 0);
  for (int i = 0; i < 2; ++i) {
    peer_->PeerRead(500);
    AdvanceTime(seconds(1));
  }
  EXPECT_EQ(close_count_, 1);
  EXPECT_EQ(close_.cause, CloseReason::kCloseTimeout);
  EXPECT_TRUE(peer_->peer_sees_reset());
}

TEST_F(SocketSessionTest, ConstructsAndDestroysOneContextPerConnection) {
  for (int i = 0; i < 3; ++i) {
    Open();
    EXPECT_EQ(CountedContext::constructed, i + 1);
    EXPECT_EQ(CountedContext::destroyed, i);
    if (i == 0) peer_->PeerReset();
    if (i == 1) connection()->Abort(CloseReason::kLocal);
    if (i == 2) peer_->PeerFinish();
    AdvanceTime(milliseconds(1));
    EXPECT_EQ(close_count_, i + 1);
    EXPECT_EQ(CountedContext::destroyed, i + 1);
  }
}

TEST_F(SocketSessionTest, SmallAndWholeMessagesAreEchoedWithoutAnAllocation) {
  Open();
  Feed(Frame(Opcode::kText, "warms the queue"));
  for (const size_t bytes : {20, 16 * 1024}) {
    std::string frame = Frame(Opcode::kText, std::string(bytes, 'x'));
    {
      const AllocationCount allocations;
      const size_t consumed =
          connection()->session()->OnInput(*connection(), std::span<char>(frame));
      EXPECT_EQ(consumed, frame.size());
      EXPECT_EQ(allocations.value(), 0) << bytes;
    }
    AdvanceTime(milliseconds(1));
  }
}

TEST(SocketSession, CostsLittleBesidesItsContext) {
  EXPECT_LE(sizeof(Peer<void>), 80u);
  EXPECT_EQ(sizeof(Peer<void>), sizeof(SocketSession));
}

}  // namespace
}  // namespace ringmaster::websocket
