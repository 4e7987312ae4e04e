#include "engine/handoff/socket_use.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstddef>

namespace ringmaster {
namespace {

// tcpi_state, of include/net/tcp_states.h.
constexpr uint8_t kEstablished = 1;
constexpr uint8_t kCloseWait = 8;

struct Position {
  tcp_info info = {};
  int unread = 0;
  int unacknowledged = 0;

  bool Read(int fd) {
    socklen_t bytes = sizeof(info);
    return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0 &&
           bytes >= offsetof(tcp_info, tcpi_bytes_received) + sizeof(info.tcpi_bytes_received) &&
           ::ioctl(fd, SIOCINQ, &unread) == 0 && ::ioctl(fd, SIOCOUTQ, &unacknowledged) == 0;
  }
  bool operator==(const Position& other) const {
    return info.tcpi_state == other.info.tcpi_state && unread == other.unread &&
           unacknowledged == other.unacknowledged &&
           info.tcpi_bytes_received == other.info.tcpi_bytes_received &&
           info.tcpi_bytes_acked == other.info.tcpi_bytes_acked;
  }
};

// The kernel tells it in three answers; a segment may come between them.
constexpr int kTriesMax = 100;

}  // namespace

std::optional<SocketUse> SocketUse::Of(int fd) {
  Position before;
  if (!before.Read(fd)) return std::nullopt;
  for (int i = 0; i < kTriesMax; ++i) {
    Position after;
    if (!after.Read(fd)) return std::nullopt;
    if (!(before == after)) {
      before = after;
      continue;
    }
    if (after.info.tcpi_state != kEstablished && after.info.tcpi_state != kCloseWait) {
      return std::nullopt;
    }
    // The peer's FIN counts as a byte that was received, and not as one that waits.
    const uint64_t fin = after.info.tcpi_state == kCloseWait ? 1 : 0;
    return SocketUse{
        after.info.tcpi_bytes_received - fin - static_cast<uint64_t>(after.unread),
        after.info.tcpi_bytes_acked + static_cast<uint64_t>(after.unacknowledged),
    };
  }
  return std::nullopt;
}

}  // namespace ringmaster
