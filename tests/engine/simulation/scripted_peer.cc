#include "tests/engine/simulation/scripted_peer.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

namespace ringmaster::simulation {

namespace {

std::string RandomBytes(Random& random, size_t bytes) {
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random.Next());
  return text;
}

void AddRequest(PeerPlan& plan, Command command, std::string_view body) {
  plan.requests += EncodeRequest(command, body);
  plan.answers += ExpectedAnswer(command, body);
}

void AddLarge(PeerPlan& plan, Command command, uint32_t bytes) {
  const std::string request = EncodeLargeRequest(command, bytes);
  plan.requests += request;
  plan.answers += ExpectedAnswer(command, std::string_view(request).substr(3));
}

void DrawRequests(Random& random, PeerPlan& plan, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t draw = random.Below(100);
    const std::string body = RandomBytes(random, random.Below(random.Chance(0.2) ? 600 : 40));
    if (draw < 5) {
      AddLarge(plan, Command::kLarge, static_cast<uint32_t>(random.Between(1, 60'000)));
    } else if (draw < 6) {
      AddLarge(plan, Command::kFile, static_cast<uint32_t>(random.Between(1, 300'000)));
    } else if (draw < 14) {
      AddRequest(plan, Command::kPause, body);
    } else if (draw < 20) {
      AddRequest(plan, Command::kReplace, body);
    } else {
      AddRequest(plan, Command::kEcho, body);
    }
  }
}

// The last request may make the server end it, with more behind it that nobody answers.
void DrawEnding(Random& random, PeerPlan& plan) {
  const uint64_t draw = random.Below(10);
  if (draw >= 4) {
    plan.finishes_early = random.Chance(0.5);
    plan.expected_reason = CloseReason::kPeerClosed;
    return;
  }
  constexpr Command kEndings[] = {Command::kClose, Command::kCloseLinger, Command::kAbort,
                                  Command::kThrow};
  const Command ending = kEndings[draw];
  AddRequest(plan, ending, RandomBytes(random, random.Below(100)));
  plan.server_closes = true;
  plan.expected_reason =
      ending == Command::kThrow ? CloseReason::kHandlerError : CloseReason::kLocal;
  plan.answers_may_be_lost = ending == Command::kAbort;
  if (random.Chance(0.3)) {
    plan.requests += RandomBytes(random, random.Below(2000));
    // Unread bytes make the kernel send RST on close, unless the server lingers.
    if (ending == Command::kClose) plan.answers_may_be_lost = true;
  }
}

}  // namespace

PeerPlan DrawPlan(Random& random) {
  PeerPlan plan;
  plan.room.to_engine_bytes = random.Between(100, 20'000);
  plan.room.to_peer_bytes = random.Between(100, 20'000);
  plan.piece_bytes_max = random.Chance(0.3) ? random.Between(1, 10) : random.Between(10, 1000);
  plan.pause_max = std::chrono::microseconds(random.Between(1, 200));
  const uint64_t draw = random.Below(100);
  if (draw < 4) {
    plan.kind = PeerPlan::Kind::kSilent;
    plan.expected_reason = CloseReason::kHandshakeTimeout;
    return plan;
  }
  DrawRequests(random, plan, random.Between(1, 8));
  if (draw < 9) {
    plan.kind = PeerPlan::Kind::kIdle;
    plan.expected_reason = CloseReason::kReadTimeout;
  } else if (draw < 13) {
    plan.kind = PeerPlan::Kind::kTrickles;
    // Its end is never sent.
    plan.requests += EncodeRequest(Command::kEcho, std::string(60'000, 'x'));
    plan.expected_reason = CloseReason::kMessageTimeout;
  } else if (draw < 17) {
    plan.kind = PeerPlan::Kind::kStalled;
    AddLarge(plan, Command::kLarge, static_cast<uint32_t>(random.Between(40'000, 60'000)));
    plan.expected_reason = CloseReason::kWriteTimeout;

  } else if (draw < 20) {
    plan.kind = PeerPlan::Kind::kSlow;
    AddLarge(plan, Command::kLarge, static_cast<uint32_t>(random.Between(20'000, 60'000)));
    DrawEnding(random, plan);
  } else if (draw < 30) {
    plan.kind = random.Chance(0.6) ? PeerPlan::Kind::kResets : PeerPlan::Kind::kVanishes;
    plan.leaves_after = std::chrono::microseconds(random.Between(0, 5000));
  } else {
    DrawEnding(random, plan);
  }
  return plan;
}

ScriptedPeer::ScriptedPeer(World& world, PeerPlan plan, std::shared_ptr<SimulatedStream> stream,
                           std::function<void()> done)
    : world_(world), plan_(std::move(plan)), stream_(std::move(stream)), on_done_(std::move(done)) {
  stream_->set_peer_hook([this] { Act(); });
  if (plan_.leaves_after != Duration::max()) {
    world_.After(plan_.leaves_after, [this] { Leave(); });
  }
  if (plan_.kind == PeerPlan::Kind::kStalled) LeaveOnceClosed(100);
  Schedule(Duration::zero());
}

// A stalled peer never sees the end, which is behind what it does not read.
void ScriptedPeer::LeaveOnceClosed(int patience) {
  if (stream_->closed() || patience == 0) return Leave();
  world_.After(std::chrono::milliseconds(100), [=, this] { LeaveOnceClosed(patience - 1); });
}

void ScriptedPeer::Schedule(Duration delay) {
  if (scheduled_ || done_) return;
  scheduled_ = true;
  world_.After(delay, [this] {
    scheduled_ = false;
    Act();
  });
}

void ScriptedPeer::Act() {
  if (done_) return;
  Read();
  if (stream_->peer_sees_reset() || stream_->peer_sees_end()) {
    saw_end_ = stream_->peer_sees_end();
    return Finish();
  }
  Send();
  const bool sending = sent_bytes_ < plan_.requests.size() || next_send_at_ > world_.now();
  const bool reading = stream_->peer_readable() > 0 && plan_.kind != PeerPlan::Kind::kStalled;
  TimePoint next = kNever;
  if (sending && plan_.kind != PeerPlan::Kind::kSilent)
    next = std::max(next_send_at_, world_.now() + 1000);
  if (reading) next = std::min(next, std::max(next_read_at_, world_.now() + 1000));
  if (next != kNever) Schedule(Duration(next - world_.now()));
}

void ScriptedPeer::Read() {
  if (plan_.kind == PeerPlan::Kind::kStalled || world_.now() < next_read_at_) return;
  size_t bytes_max = SIZE_MAX;
  if (plan_.kind == PeerPlan::Kind::kSlow) {
    bytes_max = world_.random.Between(50, 400);
    next_read_at_ = world_.now() + static_cast<TimePoint>(world_.random.Between(1, 3'000'000));
  }
  const std::string bytes = stream_->PeerRead(bytes_max);
  if (read_bytes_ == 0 && bytes == kRefusalGoodbye) {
    saw_refusal_ = true;
    return;
  }
  if (bytes.size() > plan_.answers.size() - read_bytes_ ||
      std::string_view(plan_.answers).substr(read_bytes_, bytes.size()) != bytes) {
    if (!goodbye_tolerated_) {
      world_.Fail(fmt::format("a peer received wrong bytes after {} of {} right ones", read_bytes_,
                              plan_.answers.size()));
    }
  }
  read_bytes_ = std::min(read_bytes_ + bytes.size(), plan_.answers.size());
}

void ScriptedPeer::Send() {
  if (plan_.kind == PeerPlan::Kind::kSilent || world_.now() < next_send_at_) return;
  const size_t left = plan_.requests.size() - sent_bytes_;
  if (left == 0) {
    const bool finishes =
        plan_.kind == PeerPlan::Kind::kPolite || plan_.kind == PeerPlan::Kind::kSlow;
    if (finishes && !plan_.server_closes && (plan_.finishes_early || saw_all_answers())) {
      stream_->PeerFinish();
    }
    return;
  }
  size_t bytes = std::min<size_t>(left, world_.random.Between(1, plan_.piece_bytes_max));
  Duration pause(
      static_cast<int64_t>(world_.random.Below(static_cast<uint64_t>(plan_.pause_max.count()))));
  if (plan_.kind == PeerPlan::Kind::kTrickles && left <= 60'003) {
    bytes = 1;
    pause = std::chrono::milliseconds(world_.random.Between(1, 30));
  }
  sent_bytes_ += stream_->PeerSend(std::string_view(plan_.requests).substr(sent_bytes_, bytes));
  next_send_at_ = world_.now() + pause.count();
}

void ScriptedPeer::Leave() {
  if (done_) return;
  if (plan_.kind == PeerPlan::Kind::kVanishes) {
    stream_->PeerClose();
  } else {
    stream_->PeerReset();
  }
  Finish();
}

void ScriptedPeer::Finish() {
  done_ = true;
  stream_->PeerClose();
  on_done_();
}

}  // namespace ringmaster::simulation
