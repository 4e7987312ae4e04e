// Precompiled where b_pch is on (tools/check: the sanitizer build). No file may rely on it: the
// release build compiles without it.
// A guard: g++ warns of #pragma once in what it precompiles.
#ifndef RINGMASTER_ENGINE_PRECOMPILED_ENGINE_H_
#define RINGMASTER_ENGINE_PRECOMPILED_ENGINE_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"

#endif  // RINGMASTER_ENGINE_PRECOMPILED_ENGINE_H_
