#pragma once

#include <string>
#include <vector>

#include "engine/stats/status_snapshot.h"

namespace ringmaster {

struct ScreenSize {
  int columns = 80;
  int rows = 24;
};

struct ScreenLine {
  std::string text;
  bool heading = false;  // to be set off from the rest
};

// What `status --watch` shows: rates between two snapshots of the same server, percentiles of what
// happened between them, a row per worker, and the most frequent reasons of closes and refusals.
// `before` nullptr: there is no interval yet, so rates are shown as "-". At most size.rows lines,
// each at most size.columns characters wide and free of control characters; of what does not fit,
// whole lines are left out from the bottom, worker rows are replaced by their number.
//
// A pure function: `interval_text` ("1s") is what the user asked for.
std::vector<ScreenLine> RenderWatch(const StatusSnapshot* before, const StatusSnapshot& now,
                                    const std::string& interval_text, ScreenSize size);

// The same for programs: what StatusJson(now) says, and
//
//   "interval":{"seconds":1.000, "rates":{NAME:PER_SECOND, ...}, "histograms":{...}}
//
// with the rates of all workers together. Without `before` there is no interval.
std::string WatchJson(const StatusSnapshot* before, const StatusSnapshot& now);

}  // namespace ringmaster
