#pragma once

#include <optional>

#include "absl/status/status.h"

namespace ringmaster {

// A process that starts while another serves makes way for it: until it has read its configuration
// it runs at a higher nice value (sched(7)), so that on a busy machine a reload takes longer in
// place of taking capacity from those who are being served. Loading a program is most of what a
// reload costs.
//
// To come back from a higher nice value takes the right to: CAP_SYS_NICE, or an RLIMIT_NICE that
// allows the value. Who has neither starts as everybody does.

// What is added to the nice value: a twentieth of the CPU time of one that serves beside it.
constexpr int kStartNice = 13;

// This process's nice value, if a child that left it could return to it.
std::optional<int> NiceToReturnTo();

// For a child between fork and exec.
void MakeWay();

// All threads of this process get `nice` (of NiceToReturnTo, in the process that forked this one).
absl::Status ReturnToNice(int nice);

}  // namespace ringmaster
