#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ringmaster::faults {

// What FaultRing makes of real operations. Each has a probability and a count of how often it came.
enum class Fault : uint8_t {
  kAcceptError,     // a multishot accept ends with EMFILE, ENFILE, ENOBUFS or ENOMEM
  kAcceptEnds,      // ... hands out a connection and disarms itself, as when the CQ is full
  kReceiveStarved,  // a multishot receive ends with ENOBUFS
  kReceiveEnds,     // ... hands out bytes and disarms itself
  kSendShort,       // a send takes less than there is room for
  kSendWouldBlock,  // a send without waiting takes nothing
  kSendNoMemory,    // ENOBUFS or ENOMEM
  kConnectError,    // refused, unreachable, out of ports
  kReadError,       // a file cannot be read
  kReadShort,       // ... gives less than was asked for
  kCloseError,      // close(2) closes and complains
  kLate,            // a completion is seen a turn later than it came
  kEarlyReturn,     // the wait returns with nothing (a signal)
  kReapShort,       // Reap hands out less than is there
};
inline constexpr int kFaultCount = 14;

inline constexpr std::array<std::string_view, kFaultCount> kFaultNames = {
    "accept_error",     "accept_ends",    "receive_starved", "receive_ends", "send_short",
    "send_would_block", "send_no_memory", "connect_error",   "read_error",   "read_short",
    "close_error",      "late",           "early_return",    "reap_short"};

struct FaultRates {
  std::array<double, kFaultCount> chance = {};

  double& operator[](Fault fault) { return chance[static_cast<size_t>(fault)]; }
  double operator[](Fault fault) const { return chance[static_cast<size_t>(fault)]; }

  static FaultRates None() { return {}; }
  static FaultRates Some() {
    FaultRates rates;
    rates[Fault::kAcceptError] = 0.01;
    rates[Fault::kAcceptEnds] = 0.03;
    rates[Fault::kReceiveStarved] = 0.02;
    rates[Fault::kReceiveEnds] = 0.03;
    rates[Fault::kSendShort] = 0.05;
    rates[Fault::kSendWouldBlock] = 0.03;
    rates[Fault::kSendNoMemory] = 0.01;
    rates[Fault::kConnectError] = 0.1;
    rates[Fault::kReadError] = 0.02;
    rates[Fault::kReadShort] = 0.1;
    rates[Fault::kCloseError] = 0.01;
    rates[Fault::kLate] = 0.05;
    rates[Fault::kEarlyReturn] = 0.05;
    rates[Fault::kReapShort] = 0.05;
    return rates;
  }
};

}  // namespace ringmaster::faults
