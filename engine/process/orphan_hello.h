#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ringmaster {

// An orphan is a worker that serves on although its master is gone
// (ServerOptions::orphaned_workers). Who wants to speak to it comes through the door: a unix socket
// (SOCK_SEQPACKET) that the master has made and of which every process of it has a copy, so that a
// caller is refused once the last of them has ended, was adopted or was told to stop.
//
//     orphan -> caller   OrphanHello, and behind it, in messages of their own, the descriptors of
//                        its listening sockets
//     caller -> orphan   ControlMessage::kTakeIn with descriptors: the end of an inbox, a memfd for
//                        connection reports, the door of the new master. The connection is the
//                        worker's control socket from then on
//                        or ControlMessage::kStop, kStopNow; it is the control socket, too
//                        or end of file: it waits for the next
struct OrphanHello {
  static constexpr uint32_t kVersion = 1;
  static constexpr size_t kBytesMax = 128 * 1024;
  static constexpr size_t kListSizeMax = 4096;

  uint32_t index = 0;       // among the workers of the master that is gone
  uint32_t generation = 0;  // of it
  uint16_t connection_prefix = 0;
  uint64_t connections = 0;            // that it has
  std::vector<pid_t> served;           // all that served when the master ended; some may be gone
  std::vector<std::string> listeners;  // of each of its sockets (ListenerKeys)

  std::string Write() const;
  // nullopt: another release's, or nonsense.
  static std::optional<OrphanHello> Read(std::string_view bytes);
};

}  // namespace ringmaster
