#pragma once

#include <cstdint>
#include <utility>

#include "engine/base/time.h"

namespace ringmaster {

// Bounds what strangers can make a server log: at most kLinesMax lines a second; the first line
// after a silence can say how many were left out.
//
//   uint64_t left_out = 0;
//   if (!budget.Admit(worker.now(), left_out)) return;
//   if (left_out > 0) log::Get().info("{} more were not logged", left_out);
class LogBudget {
 public:
  static constexpr uint32_t kLinesMax = 10;
  static constexpr Duration kPeriod = std::chrono::seconds(1);

  // Whether a line may be written at `now`. If so, `left_out` is how many were not since the last
  // one.
  bool Admit(TimePoint now, uint64_t& left_out) {
    if (lines_ == kLinesMax) {
      if (now - period_begin_ < kPeriod.count()) {
        ++left_out_;
        return false;
      }
      period_begin_ = now;
      lines_ = 0;
    }
    ++lines_;
    left_out = std::exchange(left_out_, 0);
    return true;
  }

 private:
  TimePoint period_begin_ = 0;
  uint32_t lines_ = kLinesMax;  // in this period; full, so that the first call begins one
  uint64_t left_out_ = 0;
};

}  // namespace ringmaster
