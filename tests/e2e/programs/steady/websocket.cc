#include "tests/e2e/programs/steady/websocket.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <utility>

#include "protocols/websocket/codec/accept_key.h"
#include "protocols/websocket/codec/close_code.h"
#include "protocols/websocket/codec/frame_writer.h"
#include "protocols/websocket/codec/mask.h"
#include "tests/e2e/programs/steady/answer.h"
#include "tests/e2e/programs/steady/errors.h"
#include "tests/e2e/programs/steady/payload.h"

namespace steady {
namespace {

using websocket::Opcode;

constexpr size_t kMessageFillerBytesMax = 3980;
// Any key will do: nothing here is to be kept from a proxy.
constexpr std::string_view kHandshakeKey = "c3RlYWR5IGNsaWVudHMgLg==";
constexpr websocket::FrameLimits kLimits;
// An address has some 28,000 ports for one destination.
constexpr size_t kConnectionsPerAddress = 20'000;

// How a message is written: by the draw of its number.
struct MessagePlan {
  enum { kPlain, kCutInHeader, kCutInPayload, kTwoFragments, kThreeFragments } manner;
  Nanoseconds gap;  // before each piece but the first
  uint64_t draw;

  int gap_count() const { return manner == kPlain ? 0 : manner == kThreeFragments ? 2 : 1; }
};

MessagePlan PlanMessage(size_t connection, uint64_t sequence) {
  const uint64_t draw = Scatter(connection + 2'000'000, sequence);
  MessagePlan plan = {MessagePlan::kPlain, 0, draw};
  const uint64_t manner = draw >> 48 & 15;
  if (manner < 2) plan.manner = MessagePlan::kCutInHeader;
  if (manner == 2 || manner == 3) plan.manner = MessagePlan::kCutInPayload;
  if (manner == 4) plan.manner = MessagePlan::kTwoFragments;
  if (manner == 5) plan.manner = MessagePlan::kThreeFragments;
  if (manner < 6) plan.gap = static_cast<Nanoseconds>(2 + (draw >> 56) % 7) * kMillisecond;
  return plan;
}

// Masked with a key that the payload decides: the same run sends the same bytes.
void AppendFrame(std::string& out, Opcode opcode, std::string_view payload, bool fin = true) {
  const auto key = static_cast<uint32_t>(Scatter(payload.size(), out.size() + 1));
  const size_t begin = out.size();
  const size_t header_bytes = websocket::FrameHeaderBytes(payload.size(), websocket::Role::kClient);
  out.resize(begin + header_bytes);
  websocket::WriteFrameHeader(out.data() + begin, opcode, payload.size(), fin,
                              websocket::Role::kClient, key);
  out += payload;
  websocket::Mask(out.data() + begin + header_bytes, payload.size(), key);
}

// Shared by all: they are used within one call.
std::string& FrameScratch() {
  static std::string scratch;
  scratch.clear();
  return scratch;
}
std::string& PayloadScratch() {
  static std::string scratch;
  return scratch;
}

}  // namespace

WebSocketClient::WebSocketClient(EventLoop& loop, const Options& options, Report& report,
                                 Traffic traffic, size_t index)
    : Stream(loop),
      options_(options),
      report_(report),
      traffic_(traffic),
      kind_(traffic == Traffic::kWebSockets ? 'w' : 'i'),
      index_(index),
      schedule_(loop, [this] { OnDue(); }) {}

void WebSocketClient::Connect() {
  state_ = State::kConnecting;
  state_since_ = MonotonicNow();
  report_.Count(traffic_, Event::kOpened);
  const auto source = static_cast<uint8_t>(1 + index_ / kConnectionsPerAddress);
  const int error = Open(options_.port, {}, source);
  if (error != 0) GiveUp(ClassOfError(error), std::strerror(error));
}

void WebSocketClient::OnConnected() {
  state_ = State::kHandshake;
  Send(
      fmt::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: {}\r\nOrigin: {}\r\n\r\n",
                  options_.websocket_path, options_.port, kHandshakeKey, options_.origin));
}

void WebSocketClient::OnDue() {
  const Nanoseconds now = MonotonicNow();
  for (; next_at_ <= now && state_ == State::kOpen; next_at_ += options_.interval) {
    report_.ScheduleServed(next_at_);
    SendMessage(next_at_, false);
  }
  if (state_ == State::kOpen) schedule_.SetAt(next_at_);
}

void WebSocketClient::SendMessage(Nanoseconds scheduled_at, bool plain) {
  if (state_ != State::kOpen) return;
  const uint64_t sequence = next_sequence_++;
  const Opcode opcode = is_text(sequence) ? Opcode::kText : Opcode::kBinary;
  std::string& payload = PayloadScratch();
  MakePayload(kind_, index_, sequence, is_text(sequence), kMessageFillerBytesMax, payload);
  MessagePlan plan = PlanMessage(index_, sequence);
  if (plain) plan.manner = MessagePlan::kPlain;
  outstanding_.Add(sequence, scheduled_at + plan.gap_count() * plan.gap, MonotonicNow());
  report_.Count(traffic_, Event::kStarted);
  if (plan.manner >= MessagePlan::kTwoFragments) {
    const bool three = plan.manner == MessagePlan::kThreeFragments;
    return SendFragments(opcode, payload, plan.draw, three, plan.gap);
  }
  std::string& frame = FrameScratch();
  AppendFrame(frame, opcode, payload);
  if (plan.manner == MessagePlan::kPlain) return Send(frame);
  const size_t header_bytes = frame.size() - payload.size();
  const size_t cut = plan.manner == MessagePlan::kCutInHeader
                         ? 1 + plan.draw % (header_bytes - 1)
                         : header_bytes + plan.draw % payload.size();
  const std::string_view whole = frame;
  Send(whole.substr(0, cut));
  Send(whole.substr(cut), plan.gap);
}

// The cuts lie anywhere, also within a character; the first fragment may be empty.
void WebSocketClient::SendFragments(Opcode opcode, std::string_view payload, uint64_t draw,
                                    bool three, Nanoseconds gap) {
  const size_t first = draw % payload.size();
  const size_t second = three ? first + (payload.size() - first) / 2 : first;
  std::string& frame = FrameScratch();
  AppendFrame(frame, opcode, payload.substr(0, first), false);
  Send(frame);
  frame.clear();
  AppendFrame(frame, Opcode::kPing, Ping());
  if (three) {
    AppendFrame(frame, Opcode::kContinuation, payload.substr(first, second - first), false);
    Send(frame, gap);
    frame.clear();
  }
  AppendFrame(frame, Opcode::kContinuation, payload.substr(second));
  Send(frame, gap);
}

std::string WebSocketClient::Ping() {
  ++pings_sent_;
  last_ping_at_ = MonotonicNow();
  report_.Count(traffic_, Event::kPings);
  return fmt::format("{}", pings_sent_);
}

void WebSocketClient::SendControl(Opcode opcode, std::string_view payload) {
  std::string& frame = FrameScratch();
  AppendFrame(frame, opcode, payload);
  Send(frame);
}

void WebSocketClient::OnReceived(std::span<char> bytes) {
  if (state_ != State::kHandshake) return OnFrames(bytes);
  handshake_.append(bytes.data(), bytes.size());
  OnHandshake();
}

void WebSocketClient::OnHandshake() {
  static const websocket::AcceptKey accept = websocket::ComputeAcceptKey(kHandshakeKey);
  Answer answer;
  const AnswerState answer_state = ParseAnswer(handshake_, {}, answer);
  if (answer_state == AnswerState::kIncomplete) return;
  if (answer_state == AnswerState::kMalformed || answer.status != 101 ||
      answer.websocket_accept != std::string_view(accept.data(), accept.size())) {
    return GiveUp(Failure::kWrong, fmt::format("opening handshake: {}", Quote(handshake_)));
  }
  state_ = State::kOpen;
  // Also gives the memory back: there may be very many of us.
  std::string rest = std::exchange(handshake_, {}).substr(answer.bytes);
  if (!rest.empty()) OnFrames({rest.data(), rest.size()});
}

void WebSocketClient::OnFrames(std::span<char> bytes) {
  while (is_open()) {
    const websocket::FrameEvent event = parser_.Next(bytes, kLimits);
    switch (event.kind) {
      case websocket::FrameEvent::Kind::kNeedMore:
        return;
      case websocket::FrameEvent::Kind::kMessage:
        OnMessage(event.opcode, event.text());
        break;
      case websocket::FrameEvent::Kind::kPing:
        SendControl(Opcode::kPong, event.text());
        break;
      case websocket::FrameEvent::Kind::kPong:
        OnPong(event.text());
        break;
      case websocket::FrameEvent::Kind::kClose:
        return OnClose(event.text());
      case websocket::FrameEvent::Kind::kError:
        return GiveUp(Failure::kWrong, fmt::format("the server's frame would be failed with {}",
                                                   static_cast<int>(event.error)));
    }
  }
}

void WebSocketClient::OnMessage(Opcode opcode, std::string_view payload) {
  const auto name = ReadPayloadName(payload);
  if (!name || name->kind != kind_ || name->connection != index_) {
    return Fail(Failure::kWrong, 0, fmt::format("not ours: {}", Quote(payload)));
  }
  const uint64_t sequence = name->sequence;
  std::string& expected = PayloadScratch();
  MakePayload(kind_, index_, sequence, is_text(sequence), kMessageFillerBytesMax, expected);
  const Outstanding::Taken taken = outstanding_.Take(sequence);
  if (payload != expected || (opcode == Opcode::kText) != is_text(sequence)) {
    return Fail(Failure::kWrong, sequence, fmt::format("another message: {}", Quote(payload)));
  }
  switch (taken.outcome) {
    case Outstanding::Outcome::kInOrder:
      report_.Answered(traffic_, taken.scheduled_at);
      break;
    case Outstanding::Outcome::kReordered:
      Fail(Failure::kReordered, sequence, "came behind a later one");
      break;
    case Outstanding::Outcome::kLate:
      report_.Count(traffic_, Event::kLate);
      break;
    case Outstanding::Outcome::kDuplicated:
      Fail(Failure::kDuplicated, sequence, "came again");
      break;
    case Outstanding::Outcome::kNeverSent:
      Fail(Failure::kWrong, sequence, "was never sent");
      break;
  }
}

// RFC 6455 section 5.5.3: one pong may answer several pings, the last of which it repeats.
void WebSocketClient::OnPong(std::string_view payload) {
  uint64_t number = 0;
  const auto [end, error] =
      std::from_chars(payload.data(), payload.data() + payload.size(), number);
  if (error != std::errc() || end != payload.data() + payload.size() || number > pings_sent_) {
    return Fail(Failure::kWrong, 0, fmt::format("pong to no ping: {}", Quote(payload)));
  }
  if (number <= pings_answered_) {
    return Fail(Failure::kDuplicated, 0, fmt::format("pong {} again", number));
  }
  pings_answered_ = number;
  report_.Count(traffic_, Event::kPongs);
}

void WebSocketClient::OnClose(std::string_view payload) {
  const websocket::ClosePayload close = websocket::ParseClosePayload(payload);
  if (state_ == State::kClosing) {
    close_answered_ = true;
    state_since_ = MonotonicNow();
    return;
  }
  report_.SawCloseCode(close.code);
  SendControl(Opcode::kClose, payload.substr(0, 2));
  GiveUp(Failure::kClosed, fmt::format("close frame {} {}", close.code, close.reason));
}

void WebSocketClient::OnEnded(int error) {
  if (state_ == State::kClosing && close_answered_ && error == 0) {
    report_.Count(traffic_, Event::kCloseHandshakes);
    LoseOutstanding("closed without an answer");
    state_ = State::kEnded;
    return;
  }
  if (error != 0) return GiveUp(ClassOfError(error), std::strerror(error));
  if (state_ == State::kClosing) {
    return GiveUp(Failure::kNoCloseHandshake, "the end without a close frame");
  }
  if (state_ == State::kHandshake) {
    return GiveUp(Failure::kTruncated,
                  fmt::format("the end in the opening handshake: {}", Quote(handshake_)));
  }
  report_.SawCloseCode(static_cast<uint16_t>(websocket::CloseCode::kAbnormal));
  GiveUp(Failure::kClosed, "the end without a close frame");
}

void WebSocketClient::GiveUp(Failure failure, std::string_view what) {
  Fail(failure, next_sequence_ - 1, what);
  LoseOutstanding(what);
  schedule_.Cancel();
  state_ = State::kEnded;
  Close();
}

void WebSocketClient::LoseOutstanding(std::string_view what) {
  for (const Outstanding::Entry& entry : outstanding_.entries()) {
    if (!entry.reported) Fail(Failure::kLost, entry.sequence, what);
  }
  outstanding_.Clear();
  // What ended the connection has been counted; its pings are not counted as well.
  pings_answered_ = pings_sent_;
}

void WebSocketClient::BeginClose() {
  if (state_ != State::kOpen) return;
  state_ = State::kClosing;
  state_since_ = MonotonicNow();
  SendControl(Opcode::kClose, "\x03\xE8");  // 1000
}

void WebSocketClient::CheckTimeouts(Nanoseconds now) {
  if (opening() && now - state_since_ > options_.timeout) {
    return GiveUp(Failure::kTimedOut, "not opened");
  }
  if (state_ == State::kClosing && now - state_since_ > options_.timeout) {
    return GiveUp(Failure::kNoCloseHandshake,
                  close_answered_ ? "the server does not end the connection" : "no close frame");
  }
  for (Outstanding::Entry& entry : outstanding_.entries()) {
    if (now - entry.written_at <= options_.timeout) break;
    if (entry.reported) continue;
    entry.reported = true;
    if (entry.overtaken) {
      Fail(Failure::kLost, entry.sequence, "later ones came, it did not");
    } else {
      Fail(Failure::kTimedOut, entry.sequence, "no answer");
    }
  }
  if (pings_answered_ != pings_sent_ && now - last_ping_at_ > options_.timeout) {
    Fail(Failure::kLost, 0, fmt::format("no pong to ping {}", pings_sent_));
    pings_answered_ = pings_sent_;
  }
}

void WebSocketClient::Finish() {
  if (state_ == State::kEnded) return;
  LoseOutstanding("no answer at the end");
  state_ = State::kEnded;
  Close();
}

void WebSocketClient::Fail(Failure failure, uint64_t sequence, std::string_view what) {
  report_.Fail(failure, {traffic_, index_, sequence, local_port()}, what);
}

}  // namespace steady
