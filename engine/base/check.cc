#include "engine/base/check.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ringmaster {

void CheckFailed(const char* expression, const char* file, int line) {
  const int saved_errno = errno;
  std::fprintf(stderr, "%s:%d: CHECK failed: %s (errno %d: %s)\n", file, line, expression,
               saved_errno, std::strerror(saved_errno));
  std::abort();
}

}  // namespace ringmaster
