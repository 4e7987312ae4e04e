#include "tests/e2e/programs/steady/run.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "tests/e2e/programs/steady/payload.h"

namespace steady {
namespace {

// How often the run looks whether a phase is over.
constexpr Nanoseconds kTurn = 5 * kMillisecond;
constexpr Nanoseconds kTimeoutCheck = 50 * kMillisecond;
// Connections in their opening at the same time: less than any backlog.
constexpr size_t kOpeningMax = 100;
// Probes or close frames in one turn: 10,000 a second.
constexpr size_t kBatch = 50;

template <typename Clients>
bool AllAre(const Clients& clients, bool (*condition)(const WebSocketClient&)) {
  for (const WebSocketClient& client : clients) {
    if (!condition(client)) return false;
  }
  return true;
}

}  // namespace

Run::Run(EventLoop& loop, const Options& options, Report& report)
    : loop_(loop),
      options_(options),
      report_(report),
      turn_timer_(loop, [this] { OnTurn(); }),
      new_connections_(loop, options, report) {
  for (size_t i = 0; i < options.keepalive; ++i) keepalive_.emplace_back(loop, options, report, i);
  for (size_t i = 0; i < options.websockets; ++i) {
    websockets_.emplace_back(loop, options, report, Traffic::kWebSockets, i);
  }
  for (size_t i = 0; i < options.idle_websockets; ++i) {
    idle_.emplace_back(loop, options, report, Traffic::kIdleWebSockets, i);
  }
}

WebSocketClient& Run::websocket(size_t index) {
  return index < websockets_.size() ? websockets_[index] : idle_[index - websockets_.size()];
}

void Run::Start() {
  next_progress_at_ = AlignToTick(MonotonicNow() + kSecond);
  for (KeepAliveClient& client : keepalive_) client.Connect();
  OnTurn();
}

void Run::End(std::string_view why) {
  if (phase_ > Phase::kTraffic) return;
  const Nanoseconds now = MonotonicNow();
  report_.TrafficEnds(now, why);
  new_connections_.Stop();
  for (KeepAliveClient& client : keepalive_) client.Stop();
  for (WebSocketClient& client : websockets_) client.Stop();
  if (phase_ == Phase::kOpening) return Finish();
  phase_ = Phase::kSettling;
  // What is written has a time limit of its own, which is over first.
  phase_ends_at_ = now + options_.timeout + 2 * kTimeoutCheck;
}

void Run::OnTurn() {
  const Nanoseconds now = MonotonicNow();
  if (phase_ == Phase::kOpening) Open();
  if (phase_ == Phase::kTraffic) {
    ProbeIdle(now);
    if (options_.duration > 0 && now >= traffic_ends_at_) End("time");
  }
  if (now >= next_check_at_) {
    next_check_at_ = now + kTimeoutCheck;
    CheckTimeouts(now);
  }
  if (phase_ > Phase::kTraffic) Step();
  if (options_.progress && now >= next_progress_at_) {
    next_progress_at_ += kSecond;
    std::fputs((report_.Progress(now) + '\n').c_str(), stderr);
  }
  if (phase_ != Phase::kDone) turn_timer_.SetAt(AlignToTick(now + kTurn));
}

void Run::Open() {
  if (report_.failure_count() > 0) {
    std::fputs("steady_clients: not every connection could be opened\n", stderr);
    return End("opening failed");
  }
  size_t opening = 0;
  for (size_t i = 0; i < next_index_; ++i) opening += websocket(i).opening() ? 1 : 0;
  while (next_index_ < websocket_count() && opening < kOpeningMax) {
    websocket(next_index_++).Connect();
    ++opening;
  }
  if (opening > 0) return;
  for (const KeepAliveClient& client : keepalive_) {
    if (!client.is_open() || client.connecting()) return;
  }
  if (report_.failure_count() == 0) BeginTraffic();
}

void Run::BeginTraffic() {
  phase_ = Phase::kTraffic;
  // A little time, so that nobody is late from the start.
  const Nanoseconds at = AlignToTick(MonotonicNow() + 10 * kMillisecond);
  report_.TrafficBegins(at);
  traffic_ends_at_ = at + options_.duration;
  next_probe_at_ = at;
  new_connections_.Start(at);
  // The two kinds lie between each other.
  const auto phase_of = [&](size_t index, size_t count, int half) {
    return AlignToTick(at + static_cast<Nanoseconds>(2 * index + half) * options_.interval /
                                static_cast<Nanoseconds>(2 * count));
  };
  for (size_t i = 0; i < keepalive_.size(); ++i) {
    keepalive_[i].Start(phase_of(i, keepalive_.size(), 0));
  }
  for (size_t i = 0; i < websockets_.size(); ++i) {
    websockets_[i].Start(phase_of(i, websockets_.size(), 1));
  }
  std::fputs("ready\n", stderr);
}

void Run::ProbeIdle(Nanoseconds now) {
  if (idle_.empty() || options_.idle_probes_per_second == 0) return;
  for (; next_probe_at_ <= now; next_probe_at_ += kSecond / options_.idle_probes_per_second) {
    idle_[Scatter(++probe_count_, 3) % idle_.size()].Probe(next_probe_at_);
  }
}

// Moves on when the phase has what it waited for. Each message and each closing handshake has a
// time limit of its own (CheckTimeouts); only requests that wait for a connection have none.
void Run::Step() {
  const Nanoseconds now = MonotonicNow();
  if (phase_ == Phase::kSettling && (AllSettled() || now >= phase_ends_at_)) {
    phase_ = Phase::kProbing;
    next_index_ = 0;
  }
  if (phase_ == Phase::kProbing) {
    const size_t end = std::min(idle_.size(), next_index_ + kBatch);
    for (; next_index_ < end; ++next_index_) idle_[next_index_].Probe(now);
    if (next_index_ < idle_.size()) return;
    if (!AllAre(idle_, [](auto& client) { return client.settled(); })) return;
    phase_ = Phase::kClosing;
    next_index_ = 0;
  }
  if (phase_ == Phase::kClosing) {
    const size_t end = std::min(websocket_count(), next_index_ + kBatch);
    for (; next_index_ < end; ++next_index_) websocket(next_index_).BeginClose();
    if (next_index_ < websocket_count()) return;
    const auto ended = [](const WebSocketClient& client) { return client.ended(); };
    if (AllAre(websockets_, ended) && AllAre(idle_, ended)) Finish();
  }
}

bool Run::AllSettled() const {
  if (!new_connections_.settled()) return false;
  for (const KeepAliveClient& client : keepalive_) {
    if (!client.settled()) return false;
  }
  const auto settled = [](const WebSocketClient& client) { return client.settled(); };
  return AllAre(websockets_, settled) && AllAre(idle_, settled);
}

void Run::CheckTimeouts(Nanoseconds now) {
  for (KeepAliveClient& client : keepalive_) client.CheckTimeouts(now);
  for (WebSocketClient& client : websockets_) client.CheckTimeouts(now);
  for (WebSocketClient& client : idle_) client.CheckTimeouts(now);
}

void Run::Finish() {
  phase_ = Phase::kDone;
  for (KeepAliveClient& client : keepalive_) client.Finish();
  for (WebSocketClient& client : websockets_) client.Finish();
  for (WebSocketClient& client : idle_) client.Finish();
  loop_.Stop();
}

}  // namespace steady
