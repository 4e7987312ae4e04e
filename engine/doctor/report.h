#pragma once

#include <string>

#include "engine/doctor/finding.h"

namespace ringmaster::doctor {

std::string_view LevelName(Level level);  // "ok", "note", "warning", "error"

// For people: one block a finding, the worst ones last, where a terminal shows them; lines of 96
// columns at most but for words longer than that. The last line counts. `color` for a terminal.
std::string ReportText(const Findings& findings, bool color);

// For programs, one line:
//   {"findings":[{"id":"io_uring.ring","level":"ok","found":"...","why":"","remedy":""},...],
//    "ok":20,"notes":3,"warnings":1,"errors":0}
std::string ReportJson(const Findings& findings);

// 0, or 1 when there is an error: warnings do not keep a server from running.
int ExitStatus(const Findings& findings);

}  // namespace ringmaster::doctor
