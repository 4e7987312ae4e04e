#pragma once

// CHECK: an invariant whose cost is nothing beside what it guards; always on. A failure prints the
// expression, the errno and the place, and aborts: the master starts a new worker.
// DCHECK: the same for debug and sanitizer builds only.
//
//   CHECK(fd >= 0);
//   DCHECK(in_flight_ == 0);

namespace ringmaster {
[[noreturn]] void CheckFailed(const char* expression, const char* file, int line);
}  // namespace ringmaster

#define CHECK(condition)                             \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::ringmaster::CheckFailed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define DCHECK(condition) static_cast<void>(sizeof((condition) ? 1 : 0))
#else
#define DCHECK(condition) CHECK(condition)
#endif
