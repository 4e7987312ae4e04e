#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/unique_fd.h"

namespace ringmaster {

// Descriptors through unix sockets (unix(7), SCM_RIGHTS). None of these waits.

// The most that one message carries (SCM_MAX_FD of the kernel).
inline constexpr size_t kDescriptorsPerMessageMax = 253;

// One message, `bytes` (not empty) and the descriptors, which stay open here. False: errno says
// why; EAGAIN when the other side does not read.
bool SendDescriptors(int socket, std::string_view bytes, std::span<const int> fds);
// A descriptor alone.
bool SendDescriptor(int socket, int fd);

struct ReceivedDescriptors {
  std::string bytes;  // empty: nothing was there, or the other side is gone
  std::vector<UniqueFd> fds;
  bool ended = false;      // the other side is gone
  pid_t sender = 0;        // whose message it is, where the socket has SO_PASSCRED
  bool truncated = false;  // some of it did not fit, or could not be opened here (EMFILE)
};
// The next message, up to `bytes_max` of it. Its descriptors are close-on-exec.
ReceivedDescriptors ReceiveDescriptors(int socket, size_t bytes_max);

}  // namespace ringmaster
