#pragma once

#include <cstdint>
#include <string_view>

#include "engine/base/time.h"
#include "engine/connection/connection.h"

namespace ringmaster::websocket {

// Logs refused handshakes at a bounded rate: any stranger can cause them. At most kLinesMax lines a
// second; the first line after a silence says how many were left out.
class RefusalLog {
 public:
  static constexpr uint32_t kLinesMax = 10;
  static constexpr Duration kPeriod = std::chrono::seconds(1);

  void Refused(const Connection& connection, int status, std::string_view reason);

  // Whether a line may be written at `now`. If so, `left_out` is how many were not since the last
  // one.
  bool Admit(TimePoint now, uint64_t& left_out);

 private:
  TimePoint period_begin_ = 0;
  uint32_t lines_ = kLinesMax;  // in this period; full, so that the first call begins one
  uint64_t left_out_ = 0;
};

}  // namespace ringmaster::websocket
