#pragma once

namespace ringmaster {

// What a command's process ends with: Linux Standard Base, "init script actions".
inline constexpr int kFailed = 1;
inline constexpr int kWrongUsage = 2;
inline constexpr int kNotRunning = 3;  // the program is not running

}  // namespace ringmaster
