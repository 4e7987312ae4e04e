// More messages than allowed end the connection with 1008: nothing could tell the peer to slow
// down.

#include <string>

#include "tests/protocols/websocket/service/socket_fixture.h"

namespace ringmaster::websocket {
namespace {

using std::chrono::milliseconds;

class MessageRateTest : public SocketFixture {
 protected:
  MessageRateTest() { stream_.message_rate = {.per_second = 10, .burst = 3}; }

  std::string Many(Opcode opcode, int count) {
    std::string frames;
    for (int i = 0; i < count; ++i) frames += Frame(opcode, "m");
    return frames;
  }
  void ExpectClosedForRate() {
    peer_->PeerFinish();
    AdvanceTime(milliseconds(1));
    EXPECT_EQ(close_count_, 1);
    EXPECT_EQ(close_.cause, CloseReason::kMessageRate);
    EXPECT_EQ(close_.code, 1008);
    EXPECT_EQ(counters_.message_rate_limited.Get(), 1u);
  }
};

TEST_F(MessageRateTest, AllowsTheBurstAndThenTheRate) {
  Open(Many(Opcode::kText, 3));
  EXPECT_EQ(Frames(), "text:m;text:m;text:m;");
  for (int i = 0; i < 20; ++i) {
    AdvanceTime(milliseconds(100));
    Feed(Frame(Opcode::kText, "m"));
    EXPECT_EQ(Frames(), "text:m;");
  }
  EXPECT_EQ(counters_.message_rate_limited.Get(), 0u);
}

TEST_F(MessageRateTest, ClosesWith1008AboveIt) {
  Open(Many(Opcode::kBinary, 5));
  EXPECT_EQ(Frames(), "binary:m;binary:m;binary:m;" + Closed(1008, "message rate"));
  EXPECT_EQ(counters_.messages.Get(), 3u);
  ExpectClosedForRate();
}

TEST_F(MessageRateTest, CountsPings) {
  Open(Many(Opcode::kPing, 100));
  EXPECT_EQ(Frames(), "pong:m;pong:m;pong:m;" + Closed(1008, "message rate"));
  ExpectClosedForRate();
}

TEST_F(MessageRateTest, CountsPongsTooButNotTheCloseFrame) {
  Open(Many(Opcode::kPong, 3) + Frame(Opcode::kClose, ClosePayloadBytes(1000)));
  EXPECT_EQ(Frames(), Closed(1000));
  EXPECT_EQ(counters_.message_rate_limited.Get(), 0u);
}

TEST_F(MessageRateTest, CountsAFragmentedMessageOnce) {
  std::string fragmented = Frame(Opcode::kText, "f", false);
  for (int i = 0; i < 10; ++i) fragmented += Frame(Opcode::kContinuation, "f", false);
  fragmented += Frame(Opcode::kContinuation, "f");
  Open(fragmented + fragmented + fragmented);
  const std::string message = "text:" + std::string(12, 'f') + ";";
  EXPECT_EQ(Frames(), message + message + message);
}

TEST_F(MessageRateTest, OfTheRouteWinsOverTheListeners) {
  route_.stream.emplace();
  Open(Many(Opcode::kText, 100));
  std::string echoes;
  for (int i = 0; i < 100; ++i) echoes += "text:m;";
  EXPECT_EQ(Frames(), echoes);
}

// After our close frame messages are thrown away; they are no reason to close once more.
TEST_F(MessageRateTest, IsNotAskedDuringTheClosingHandshake) {
  route_.on_message = [](auto& peer, const Message&) { peer.Close(1000); };
  Open(Many(Opcode::kText, 10) + Frame(Opcode::kClose, ClosePayloadBytes(1000)));
  EXPECT_EQ(Frames(), Closed(1000));
  EXPECT_EQ(counters_.message_rate_limited.Get(), 0u);
  peer_->PeerFinish();
  AdvanceTime(milliseconds(1));
  EXPECT_EQ(close_.cause, CloseReason::kLocal);
}

}  // namespace
}  // namespace ringmaster::websocket
