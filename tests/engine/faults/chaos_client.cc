#include "tests/engine/faults/chaos_client.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/faults/chaos_script.h"
#include "tests/engine/faults/sockets.h"

namespace ringmaster::faults {
namespace {

// Milliseconds on the monotonic clock.
int64_t Now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// The longest of the server's timeouts is 5 s, and a WebSocket is asked first.
constexpr int64_t kPatience = 40'000;
constexpr int64_t kPauseBetweenBites = 4;
// More live at a time would be more than a process may have descriptors for by default.
constexpr size_t kLiveMax = 300;

class ChaosConnection {
 public:
  ChaosConnection(Script script, const ChaosPorts& ports, int epoll, ChaosTally& tally)
      : script_(std::move(script)), epoll_(epoll), tally_(tally), moved_at_(Now()) {
    ++count().begun;
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (script_.bite_bytes > 0) {
      const int bytes = 4096;
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    }
    const sockaddr_in address = Loopback(script_.lines ? ports.lines : ports.web);
    const int result = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    if (fd_ < 0 || (result != 0 && errno != EINPROGRESS)) {
      Finish(/*complete=*/false);
      return;
    }
    epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = this}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd_, &event);
  }

  bool done() const { return done_; }

  // The socket's state has changed.
  void OnEvent() {
    may_read_ = may_write_ = true;
    Progress();
  }

  // Does what can be done now: events and the clock both end up here.
  void Progress() {
    if (done_) return;
    const int64_t now = Now();
    if (now - moved_at_ > kPatience) {
      ++count().left_hanging;
      return Drop();
    }
    Read(now);
    while (!done_ && step_ < script_.steps.size()) {
      if (!DoStep(script_.steps[step_], now)) break;
      ++step_;
      sent_ = counted_to_ = found_ = 0;
      paused_until_ = 0;
    }
    if (done_) return;
    if (step_ == script_.steps.size()) return Finish(/*complete=*/true);
    if (ended_) Finish(/*complete=*/false);
  }

 private:
  ChaosTally::Count& count() { return tally_.of[static_cast<size_t>(script_.behaviour)]; }

  bool DoStep(const Step& step, int64_t now) {
    switch (step.kind) {
      case Step::Kind::kSend:
        return Send(step.text);
      case Step::Kind::kPause:
        if (paused_until_ == 0) paused_until_ = now + step.number;
        return now >= paused_until_;
      case Step::Kind::kAwait:
        return Received(step);
      case Step::Kind::kFinish:
        shutdown(fd_, SHUT_WR);
        return true;
      case Step::Kind::kAwaitEnd:
        return ended_ && (step.text.empty() || received_ == step.text);
      case Step::Kind::kReset: {
        const linger at_once = {1, 0};
        setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        return true;
      }
    }
    return false;
  }

  bool Send(const std::string& text) {
    while (sent_ < text.size()) {
      if (!may_write_) return false;
      const ssize_t sent = send(fd_, text.data() + sent_, text.size() - sent_, MSG_NOSIGNAL);
      if (sent < 0) {
        // Refused, or closed by a server that has had enough; what it said may still be read.
        if (errno != EAGAIN && errno != ENOTCONN) send_failed_ = true;
        may_write_ = false;
        return send_failed_;
      }
      sent_ += static_cast<size_t>(sent);
      moved_at_ = Now();
    }
    return true;
  }

  bool Received(const Step& step) {
    size_t at = received_.find(step.text, counted_to_);
    for (; at != received_.npos; at = received_.find(step.text, counted_to_)) {
      ++found_;
      counted_to_ = at + step.text.size();
    }
    return found_ >= step.number;
  }

  void Read(int64_t now) {
    char buffer[65536];
    while (!ended_ && may_read_ && now >= next_bite_at_) {
      const size_t bite = script_.bite_bytes > 0 ? script_.bite_bytes : sizeof(buffer);
      const ssize_t got = recv(fd_, buffer, std::min(bite, sizeof(buffer)), 0);
      if (got < 0 && (errno == EAGAIN || errno == ENOTCONN)) {
        may_read_ = false;
        return;
      }
      if (got <= 0) {
        ended_ = true;
        return;
      }
      received_.append(buffer, static_cast<size_t>(got));
      moved_at_ = now;
      if (script_.bite_bytes > 0) next_bite_at_ = now + kPauseBetweenBites;
    }
  }

  // What has come, be it all or not, is the beginning of what was asked for.
  bool RightSoFar() const {
    if (received_.empty() || script_.behaviour == Behaviour::kGarbage) return true;
    if (!script_.lines) return std::string("HTTP/1.1 ").starts_with(received_.substr(0, 9));
    const Step& last = script_.steps.back();
    return last.text.starts_with(received_);
  }

  void Finish(bool complete) {
    if (!RightSoFar()) {
      ++count().wrong;
    } else if (complete && !send_failed_) {
      ++count().complete;
    } else {
      ++count().cut_short;
    }
    Drop();
  }

  void Drop() {
    done_ = true;
    close(fd_);
  }

  const Script script_;
  const int epoll_;
  ChaosTally& tally_;
  int64_t moved_at_;  // when a byte last went either way
  int fd_ = -1;
  bool done_ = false;
  // Edge-triggered: true until a call would have blocked.
  bool may_read_ = false;
  bool may_write_ = false;
  bool ended_ = false;
  bool send_failed_ = false;
  size_t step_ = 0;
  // Of the current step.
  size_t sent_ = 0;
  size_t counted_to_ = 0;
  uint64_t found_ = 0;
  int64_t paused_until_ = 0;
  int64_t next_bite_at_ = 0;
  std::string received_;
};

ChaosTally Play(const ChaosRound& round, int epoll) {
  ChaosTally tally;
  simulation::Random random(round.seed);
  std::vector<std::unique_ptr<ChaosConnection>> live;
  const int64_t begin = Now();
  uint32_t begun = 0;
  int64_t next_at = begin;
  while (begun < round.connection_count || !live.empty()) {
    while (begun < round.connection_count && live.size() < kLiveMax && Now() >= next_at) {
      live.push_back(
          std::make_unique<ChaosConnection>(DrawScript(random), round.ports, epoll, tally));
      ++begun;
      // In bursts: random moments around an even pace.
      const int64_t pace = int64_t{round.milliseconds} * begun / round.connection_count;
      next_at = begin + pace + static_cast<int64_t>(random.Below(20));
    }
    epoll_event events[256];
    const int count = epoll_wait(epoll, events, 256, 2);
    for (int i = 0; i < count; ++i) static_cast<ChaosConnection*>(events[i].data.ptr)->OnEvent();
    // The clock's part, for everybody: pauses, bites, patience.
    for (const auto& connection : live) connection->Progress();
    std::erase_if(live, [](const auto& connection) { return connection->done(); });
  }
  return tally;
}

}  // namespace

void RunChaosClient(int control) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  ChaosRound round;
  while (recv(control, &round, sizeof(round), MSG_WAITALL) == static_cast<ssize_t>(sizeof(round))) {
    const ChaosTally tally = Play(round, epoll);
    if (send(control, &tally, sizeof(tally), MSG_NOSIGNAL) < 0) break;
  }
  close(epoll);
}

}  // namespace ringmaster::faults
