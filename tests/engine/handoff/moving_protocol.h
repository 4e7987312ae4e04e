#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "engine/connection/connection.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/protocol.h"
#include "engine/worker/worker.h"

namespace ringmaster {

// What the sessions of one connection heard, whichever worker they lived in.
struct Life {
  int opened = 0;
  int handoffs = 0;
  int adopted = 0;
  int closed = 0;
  int timeouts = 0;
  int drained = 0;
  int probes = 0;
  int drains = 0;
  int stops = 0;
  int sessions_alive = 0;
  CloseReason reason = CloseReason::kNone;
  CloseReason timeout_reason = CloseReason::kNone;
  TimePoint opened_at = 0;
  TimePoint ended_at = 0;  // OnTimeout, else OnClosed
};
using Lives = std::map<uint64_t, Life>;

inline std::string PatternOf(size_t bytes) {
  std::string pattern(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) pattern[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
  return pattern;
}

// Lines that bring a connection into every state in which it may have to move. A session moves in
// all of them unless it was told "stay"; what it saves is how many lines it has answered.
//
//   anything    echoed            count        how many lines came
//   big N       N bytes           pause        PauseReceive; the test resumes
//   linger N    N bytes, closes for kLimit with Linger::kYes
//   flush N     the same without
//   file N      N bytes of a file
//   stay, go    whether it can move
//   probe       EnableIdleProbe
//   set X MS    a timeout: read, write, message, lifetime
class MovingProtocol final : public Protocol {
 public:
  explicit MovingProtocol(Lives& lives) : lives_(lives) {}

  // Of this side. Ids that it cannot take; what it does when it is told.
  std::function<bool(uint64_t id)> refuses;
  std::function<void(Connection&)> on_handoff;
  std::function<void(Connection&)> on_adopted;
  std::function<void(Connection&)> on_save;

  std::string_view name() const override { return "moving"; }

  std::unique_ptr<Session> NewSession(Connection& connection) override {
    Life& life = lives_[connection.id()];
    ++life.opened;
    life.opened_at = connection.worker().now();
    return std::make_unique<MovingSession>(*this, life);
  }

  std::unique_ptr<Session> Restore(Connection& connection, StateReader& in) override {
    if (refuses && refuses(connection.id())) return nullptr;
    auto session = std::make_unique<MovingSession>(*this, lives_[connection.id()]);
    session->lines_ = in.Unsigned();
    if (!in.finished()) return nullptr;
    return session;
  }

 private:
  class MovingSession final : public Session {
   public:
    MovingSession(MovingProtocol& protocol, Life& life) : protocol_(protocol), life_(life) {
      ++life_.sessions_alive;
    }
    ~MovingSession() override { --life_.sessions_alive; }

    size_t OnInput(Connection& connection, std::span<char> input) override {
      size_t consumed = 0;
      while (connection.receiving() && consumed < input.size()) {
        const std::string_view rest(input.data() + consumed, input.size() - consumed);
        const size_t end = rest.find('\n');
        if (end == rest.npos) break;
        consumed += end + 1;
        connection.ClearWait();
        connection.CountMessage();
        ++lines_;
        Handle(connection, rest.substr(0, end));
      }
      if (consumed < input.size() && connection.receiving()) connection.SetWait(Wait::kMessage);
      return consumed;
    }

    void OnTimeout(Connection& connection, CloseReason reason) override {
      ++life_.timeouts;
      life_.timeout_reason = reason;
      life_.ended_at = connection.worker().now();
    }
    void OnIdleProbe(Connection&) override { ++life_.probes; }
    void OnDrained(Connection&) override { ++life_.drained; }
    void OnDrain(Connection&) override { ++life_.drains; }
    void OnStop(Connection& connection) override {
      ++life_.stops;
      Session::OnStop(connection);
    }
    void OnClosed(Connection& connection, CloseReason reason) override {
      ++life_.closed;
      life_.reason = reason;
      if (life_.ended_at == 0) life_.ended_at = connection.worker().now();
    }

    bool CanMove(const Connection&) const override { return can_move_; }
    void OnHandoff(Connection& connection) override {
      ++life_.handoffs;
      if (protocol_.on_handoff) protocol_.on_handoff(connection);
    }
    void Save(const Connection& connection, StateWriter& out) const override {
      if (protocol_.on_save) protocol_.on_save(const_cast<Connection&>(connection));
      out.Unsigned(lines_);
    }
    void OnAdopted(Connection& connection) override {
      ++life_.adopted;
      if (protocol_.on_adopted) protocol_.on_adopted(connection);
    }

   private:
    friend class MovingProtocol;

    static uint64_t Number(std::string_view text) {
      uint64_t number = 0;
      std::from_chars(text.data(), text.data() + text.size(), number);
      return number;
    }

    void Handle(Connection& connection, std::string_view line) {
      const std::string_view word = line.substr(0, line.find(' '));
      const std::string_view rest = line.substr(std::min(line.size(), word.size() + 1));
      if (word == "big") {
        connection.Send(PatternOf(Number(rest)));
      } else if (word == "count") {
        connection.Send(std::to_string(lines_) + "\n");
      } else if (word == "pause") {
        connection.PauseReceive();
      } else if (word == "linger" || word == "flush") {
        connection.Send(PatternOf(Number(rest)));
        connection.CloseAfterFlush(CloseReason::kLimit,
                                   word == "linger" ? Linger::kYes : Linger::kNo);
      } else if (word == "file") {
        const std::string pattern = PatternOf(Number(rest));
        const int fd = memfd_create("moving", MFD_CLOEXEC);
        if (write(fd, pattern.data(), pattern.size()) != static_cast<ssize_t>(pattern.size())) {
          throw std::runtime_error("no file");
        }
        connection.SendFile(fd, 0, pattern.size());
      } else if (word == "stay" || word == "go") {
        can_move_ = word == "go";
      } else if (word == "probe") {
        connection.EnableIdleProbe();
      } else if (word == "set") {
        const std::string_view name = rest.substr(0, rest.find(' '));
        const std::chrono::milliseconds timeout(Number(rest.substr(name.size() + 1)));
        connection.SetTimeout(name == "read"      ? &Timeouts::read
                              : name == "write"   ? &Timeouts::write
                              : name == "message" ? &Timeouts::message
                                                  : &Timeouts::lifetime,
                              timeout);
      } else {
        connection.Send(std::string(line) + "\n");
      }
    }

    MovingProtocol& protocol_;
    Life& life_;
    uint64_t lines_ = 0;
    bool can_move_ = true;
  };

  Lives& lives_;
};

}  // namespace ringmaster
