#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ringmaster::faults {

// What the test tells its client process, and what that answers: plain bytes over a socketpair.

struct ChaosPorts {
  uint16_t web = 0;
  uint16_t lines = 0;
};

struct ChaosRound {
  uint64_t seed = 0;
  uint32_t connection_count = 0;
  // The connections are begun at random moments within it.
  uint32_t milliseconds = 0;
  ChaosPorts ports;
};

// Ways of a client to behave. Each is drawn as often as the others.
enum class Behaviour : uint8_t {
  kPipelined,     // whole requests, several at once
  kCut,           // a request cut anywhere, with pauses
  kUpload,        // a body, announced or chunked
  kBrokenUpload,  // ... that is left off in the middle
  kHalfClosed,    // asks, sends FIN, reads to the end
  kAllRoutes,     // a file, an answer that comes later, a handler that throws
  kSlowReader,    // large answers, taken in small bites
  kDeaf,          // asks for much and resets without reading
  kWebSocket,     // messages, fragments, a ping, the closing handshake
  kRudeSocket,    // ... and then simply gone
  kLines,         // the custom protocol
  kGarbage,       // random bytes
  kSilent,        // says nothing and leaves, or is closed
};
inline constexpr int kBehaviourCount = 13;
inline constexpr std::array<std::string_view, kBehaviourCount> kBehaviourNames = {
    "pipelined",  "cut",         "upload", "broken_upload", "half_closed",
    "all_routes", "slow_reader", "deaf",   "websocket",     "rude_socket",
    "lines",      "garbage",     "silent"};

struct ChaosTally {
  struct Count {
    uint32_t begun = 0;
    uint32_t complete = 0;      // everything came that was asked for
    uint32_t cut_short = 0;     // the server ended it before, which a fault explains
    uint32_t wrong = 0;         // something came that was not asked for
    uint32_t left_hanging = 0;  // neither answered nor closed, far beyond every timeout
  };
  std::array<Count, kBehaviourCount> of = {};
};

}  // namespace ringmaster::faults
