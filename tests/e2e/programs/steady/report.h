#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/programs/steady/event_loop.h"
#include "tests/e2e/programs/steady/histogram.h"

namespace steady {

enum class Traffic : uint8_t { kConnects, kKeepAlive, kWebSockets, kIdleWebSockets };
inline constexpr size_t kTrafficCount = 4;

// Every request, message or connection that went wrong has exactly one of these.
enum class Failure : uint8_t {
  kRefused,           // ECONNREFUSED
  kReset,             // ECONNRESET or EPIPE: the request that was being answered, or none
  kTruncated,         // the end came inside an answer
  kWrong,             // another status, body or opcode than it must be, or no HTTP or WebSocket
  kTimedOut,          // nothing came in time
  kLost,              // no answer when the connection ended, or later ones came and it did not
  kReordered,         // came after one that was sent later
  kDuplicated,        // came again
  kClosed,            // a WebSocket that the server ended; the close code is in `close_codes`
  kNoCloseHandshake,  // our close frame was not answered, or the end did not follow
  kLocal,             // this machine could not: no port, no descriptor
};
inline constexpr size_t kFailureCount = 11;

// What is counted and is no failure.
enum class Event : uint8_t {
  kStarted,           // connections begun by schedule, or requests or messages written first
  kAnswered,          // exactly as it must be
  kOpened,            // connections, openings again included
  kToldToClose,       // answers with `Connection: close` that was not asked for
  kRacedClose,        // requests written before such an answer was seen, then sent again
  kClosedIdle,        // the server ended a connection on which nothing was asked
  kResetAfterAnswer,  // a reset that came when the answer was whole
  kLate,              // answers to what had been counted as timed_out or lost
  kPings,
  kPongs,
  kCloseHandshakes,
};
inline constexpr size_t kEventCount = 11;

// Which request or message, on which connection.
struct Where {
  Traffic traffic;
  size_t connection;
  uint64_t sequence;
  uint16_t local_port;
};

// All that a run finds out; Json says it.
class Report {
 public:
  explicit Report(Nanoseconds started_at);

  void Fail(Failure failure, const Where& where, std::string_view what);
  void Count(Traffic traffic, Event event, uint64_t count = 1);
  // From when it was due by schedule, however late it was sent, to its whole answer: a stall counts
  // against all that it held up.
  void Answered(Traffic traffic, Nanoseconds scheduled_at);
  // How late this program itself was.
  void ScheduleServed(Nanoseconds scheduled_at);
  void SawGeneration(Traffic traffic, std::string_view value);
  void SawNoGeneration() { ++without_generation_; }
  void SawCloseCode(uint16_t code) { ++close_codes_[code]; }
  void TrafficBegins(Nanoseconds now) { traffic_began_at_ = now; }
  void TrafficEnds(Nanoseconds now, std::string_view why);

  uint64_t failure_count() const { return failure_count_; }
  uint64_t failures(Traffic traffic) const;
  uint64_t count(Traffic traffic, Event event) const;

  // One line of what has happened since the last one.
  std::string Progress(Nanoseconds now);
  std::string Json() const;

 private:
  struct Generation {
    uint64_t connects = 0;
    uint64_t keepalive = 0;
    Nanoseconds first_at = 0;
    Nanoseconds last_at = 0;
  };
  struct Tally {
    std::array<uint64_t, kFailureCount> failures{};
    std::array<uint64_t, kEventCount> events{};
    Histogram latency;
    Nanoseconds worst_since_progress = 0;
    uint64_t answered_at_progress = 0;
  };

  double SinceStartMs(Nanoseconds at) const;
  Tally& tally(Traffic traffic) { return tallies_[static_cast<size_t>(traffic)]; }

  Nanoseconds started_at_;
  int64_t started_unix_ms_;
  Nanoseconds traffic_began_at_ = 0;
  Nanoseconds traffic_ended_at_ = 0;
  std::string ended_by_ = "opening failed";
  std::array<Tally, kTrafficCount> tallies_;
  Histogram schedule_late_;
  std::map<std::string, Generation, std::less<>> generations_;
  uint64_t without_generation_ = 0;
  std::map<uint16_t, uint64_t> close_codes_;
  uint64_t failure_count_ = 0;
  // JSON objects.
  std::vector<std::string> first_failures_;
};

}  // namespace steady
