#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocols/websocket/codec/frame_parser.h"
#include "tests/e2e/programs/steady/event_loop.h"
#include "tests/e2e/programs/steady/options.h"
#include "tests/e2e/programs/steady/outstanding.h"
#include "tests/e2e/programs/steady/report.h"
#include "tests/e2e/programs/steady/stream.h"

namespace steady {

namespace websocket = ringmaster::websocket;

// A WebSocket to an echo that stays one TCP connection for its whole life. With a schedule it sends
// a message at every interval, text and binary; some are cut in header or payload, some come in
// fragments with a ping between them. Without one it is silent until Probe.
class WebSocketClient final : public Stream {
 public:
  WebSocketClient(EventLoop& loop, const Options& options, Report& report, Traffic traffic,
                  size_t index);

  void Connect();
  void Start(Nanoseconds at) { schedule_.SetAt(next_at_ = at); }
  void Stop() { schedule_.Cancel(); }
  // One message now.
  void Probe(Nanoseconds scheduled_at) { SendMessage(scheduled_at, true); }
  // Begins the closing handshake.
  void BeginClose();
  // Gives up what is still without an answer.
  void Finish();
  void CheckTimeouts(Nanoseconds now);

  bool opening() const { return state_ == State::kConnecting || state_ == State::kHandshake; }
  bool ready() const { return state_ == State::kOpen; }
  bool ended() const { return state_ == State::kEnded; }
  // Every message and ping has its outcome.
  bool settled() const { return outstanding_.settled() && pings_answered_ == pings_sent_; }

 private:
  enum class State : uint8_t { kUnopened, kConnecting, kHandshake, kOpen, kClosing, kEnded };

  void OnDue();
  void SendMessage(Nanoseconds scheduled_at, bool plain);
  // In two frames or three, with a ping behind the first.
  void SendFragments(websocket::Opcode opcode, std::string_view payload, uint64_t draw, bool three,
                     Nanoseconds gap);
  void SendControl(websocket::Opcode opcode, std::string_view payload);
  std::string Ping();
  void OnConnected() override;
  void OnReceived(std::span<char> bytes) override;
  void OnEnded(int error) override;
  void OnHandshake();
  void OnFrames(std::span<char> bytes);
  void OnMessage(websocket::Opcode opcode, std::string_view payload);
  void OnPong(std::string_view payload);
  void OnClose(std::string_view payload);
  // Counts `failure` once and every message without an answer as lost.
  void GiveUp(Failure failure, std::string_view what);
  void LoseOutstanding(std::string_view what);
  bool is_text(uint64_t sequence) const { return (index_ + sequence) % 2 == 0; }
  void Fail(Failure failure, uint64_t sequence, std::string_view what);

  const Options& options_;
  Report& report_;
  const Traffic traffic_;
  const char kind_;
  const size_t index_;
  Timer schedule_;
  State state_ = State::kUnopened;
  // The peer's close frame has come while kClosing; its end is all that is waited for.
  bool close_answered_ = false;
  Nanoseconds next_at_ = 0;
  // When the state was entered: opening and closing have a time limit each.
  Nanoseconds state_since_ = 0;
  uint64_t next_sequence_ = 1;
  uint64_t pings_sent_ = 0;
  uint64_t pings_answered_ = 0;
  Nanoseconds last_ping_at_ = 0;
  Outstanding outstanding_;
  websocket::FrameParser parser_{websocket::Role::kClient};
  std::string handshake_;
};

}  // namespace steady
