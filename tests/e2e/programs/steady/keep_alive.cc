#include "tests/e2e/programs/steady/keep_alive.h"

#include <fmt/format.h>

#include <cstring>
#include <iterator>

#include "tests/e2e/programs/steady/errors.h"
#include "tests/e2e/programs/steady/payload.h"

namespace steady {
namespace {

constexpr char kKind = 'h';
constexpr size_t kFillerBytesMax = 2000;
// Before the next attempt to connect, of which every one that fails is counted.
constexpr Nanoseconds kReopenPause = 50 * kMillisecond;

// How a request is written: by the draw of its number.
enum class Manner { kPlain, kCutInHead, kCutInContent, kWithNext };

Manner MannerOf(size_t connection, uint64_t sequence) {
  switch (Scatter(connection, sequence) >> 48 & 7) {
    case 0:
      return Manner::kCutInHead;
    case 1:
      return Manner::kCutInContent;
    case 2:
      return Manner::kWithNext;
    default:
      return Manner::kPlain;
  }
}

}  // namespace

KeepAliveClient::KeepAliveClient(EventLoop& loop, const Options& options, Report& report,
                                 size_t index)
    : Stream(loop),
      options_(options),
      report_(report),
      index_(index),
      schedule_(loop, [this] { OnDue(); }),
      reopen_timer_(loop, [this] { Connect(); }) {}

void KeepAliveClient::Connect() {
  told_to_close_ = false;
  answered_ = false;
  received_.clear();
  opened_at_ = MonotonicNow();
  report_.Count(Traffic::kKeepAlive, Event::kOpened);
  const int error = Open(options_.port);
  if (error == 0) return;
  report_.Fail(ClassOfError(error), At(next_sequence_ - 1), std::strerror(error));
  ReopenLater();
}

void KeepAliveClient::OnDue() {
  const Nanoseconds now = MonotonicNow();
  for (; next_at_ <= now; next_at_ += options_.interval) {
    report_.ScheduleServed(next_at_);
    const bool with_next = MannerOf(index_, next_sequence_) == Manner::kWithNext;
    waiting_.push_back({next_sequence_++, next_at_, with_next});
    if (with_next) waiting_.push_back({next_sequence_++, next_at_, false});
  }
  schedule_.SetAt(next_at_);
  Pump();
}

void KeepAliveClient::Pump() {
  if (!is_open() || connecting() || told_to_close_ || !outstanding_.empty() || waiting_.empty()) {
    return;
  }
  const Request request = waiting_.front();
  waiting_.pop_front();
  to_send_.clear();
  AppendRequest(request.sequence, to_send_);
  const size_t content_bytes = content_.size();
  const Nanoseconds now = MonotonicNow();
  const Manner manner = MannerOf(index_, request.sequence);
  const bool cut_in_two = manner == Manner::kCutInHead || manner == Manner::kCutInContent;
  const uint64_t draw = Scatter(index_ + 1'000'000, request.sequence);
  const Nanoseconds gap =
      cut_in_two ? static_cast<Nanoseconds>(2 + (draw >> 32) % 7) * kMillisecond : 0;
  outstanding_.Add(request.sequence, request.scheduled_at + gap, now);
  report_.Count(Traffic::kKeepAlive, Event::kStarted);
  if (request.with_next && !waiting_.empty()) {
    const Request next = waiting_.front();
    waiting_.pop_front();
    AppendRequest(next.sequence, to_send_);
    outstanding_.Add(next.sequence, next.scheduled_at, now);
    report_.Count(Traffic::kKeepAlive, Event::kStarted);
    return Send(to_send_);
  }
  if (!cut_in_two) return Send(to_send_);
  const size_t head_bytes = to_send_.size() - content_bytes;
  const size_t cut = manner == Manner::kCutInHead ? 1 + draw % (head_bytes - 1)
                                                  : head_bytes + draw % content_bytes;
  const std::string_view whole = to_send_;
  Send(whole.substr(0, cut));
  Send(whole.substr(cut), gap);
}

void KeepAliveClient::AppendRequest(uint64_t sequence, std::string& out) {
  MakePayload(kKind, index_, sequence, false, kFillerBytesMax, content_);
  fmt::format_to(std::back_inserter(out),
                 "PUT {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: {}\r\n\r\n",
                 options_.echo_path, options_.port, content_.size());
  out += content_;
}

void KeepAliveClient::OnReceived(std::span<char> bytes) {
  received_.append(bytes.data(), bytes.size());
  size_t taken = 0;
  while (taken < received_.size()) {
    const std::string_view rest = std::string_view(received_).substr(taken);
    Answer answer;
    const AnswerState state = ParseAnswer(rest, options_.generation_header, answer);
    if (state == AnswerState::kIncomplete) break;
    if (state == AnswerState::kMalformed) return GiveUp(Failure::kWrong, Quote(rest));
    taken += answer.bytes;
    answered_ = true;
    CountGeneration(report_, Traffic::kKeepAlive, options_.generation_header, answer);
    if (answer.says_close) {
      if (!told_to_close_) report_.Count(Traffic::kKeepAlive, Event::kToldToClose);
      told_to_close_ = true;
      DropUnsent();
    }
    if (!JudgeContent(answer)) return;
  }
  received_.erase(0, taken);
  if (!outstanding_.empty() || !received_.empty()) return;
  if (told_to_close_) {
    Reopen();
  } else {
    Pump();
  }
}

bool KeepAliveClient::JudgeContent(const Answer& answer) {
  const auto name = ReadPayloadName(answer.body);
  if (answer.status != 200 || !name || name->kind != kKind || name->connection != index_) {
    GiveUp(Failure::kWrong, fmt::format("status {}, {}", answer.status, Quote(answer.body)));
    return false;
  }
  MakePayload(kKind, index_, name->sequence, false, kFillerBytesMax, content_);
  if (answer.body != content_) {
    GiveUp(Failure::kWrong, fmt::format("another content: {}", Quote(answer.body)));
    return false;
  }
  const Outstanding::Taken taken = outstanding_.Take(name->sequence);
  switch (taken.outcome) {
    case Outstanding::Outcome::kInOrder:
      report_.Answered(Traffic::kKeepAlive, taken.scheduled_at);
      break;
    case Outstanding::Outcome::kReordered:
      report_.Fail(Failure::kReordered, At(name->sequence), "behind the answer to a later one");
      break;
    case Outstanding::Outcome::kLate:
      report_.Count(Traffic::kKeepAlive, Event::kLate);
      break;
    case Outstanding::Outcome::kDuplicated:
      report_.Fail(Failure::kDuplicated, At(name->sequence), "answered again");
      break;
    case Outstanding::Outcome::kNeverSent:
      report_.Fail(Failure::kWrong, At(name->sequence), "an answer to what was not asked");
      break;
  }
  return true;
}

void KeepAliveClient::OnEnded(int error) {
  if (error != 0) {
    return GiveUp(ClassOfError(error),
                  fmt::format("{}{}", std::strerror(error),
                              told_to_close_ ? " after Connection: close" : ""));
  }
  if (told_to_close_ && received_.empty()) {
    // RFC 9112 section 9.6: the client may send again what it had written before it knew.
    auto& entries = outstanding_.entries();
    report_.Count(Traffic::kKeepAlive, Event::kRacedClose, entries.size());
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
      waiting_.push_front({entry->sequence, entry->scheduled_at, false});
    }
    return Reopen();
  }
  if (!received_.empty()) {
    return GiveUp(Failure::kTruncated, fmt::format("the end after {}", Quote(received_)));
  }
  if (!outstanding_.empty()) return GiveUp(Failure::kLost, "the end without an answer");
  report_.Count(Traffic::kKeepAlive, Event::kClosedIdle);
  if (answered_) return Reopen();
  ReopenLater();
}

void KeepAliveClient::GiveUp(Failure failure, std::string_view what, Failure behind) {
  bool first = true;
  for (const Outstanding::Entry& entry : outstanding_.entries()) {
    report_.Fail(first ? failure : behind, At(entry.sequence), what);
    first = false;
  }
  if (first) report_.Fail(failure, At(next_sequence_ - 1), what);
  ReopenLater();
}

void KeepAliveClient::ReopenLater() {
  outstanding_.Clear();
  Close();
  reopen_timer_.SetAt(AlignToTick(MonotonicNow() + kReopenPause));
}

void KeepAliveClient::Reopen() {
  outstanding_.Clear();
  Connect();
}

void KeepAliveClient::CheckTimeouts(Nanoseconds now) {
  if (connecting() && now - opened_at_ > options_.timeout) {
    return GiveUp(Failure::kTimedOut, "not connected");
  }
  const auto& entries = outstanding_.entries();
  if (!entries.empty() && now - entries.front().written_at > options_.timeout) {
    GiveUp(Failure::kTimedOut, "no answer", Failure::kTimedOut);
  }
}

void KeepAliveClient::Finish() {
  for (const Outstanding::Entry& entry : outstanding_.entries()) {
    report_.Fail(Failure::kTimedOut, At(entry.sequence), "no answer at the end");
  }
  for (const Request& request : waiting_) {
    report_.Fail(Failure::kLost, At(request.sequence), "never sent: it waited for the one before");
  }
  waiting_.clear();
  outstanding_.Clear();
  reopen_timer_.Cancel();
  Close();
}

Where KeepAliveClient::At(uint64_t sequence) {
  return {Traffic::kKeepAlive, index_, sequence, local_port()};
}

}  // namespace steady
