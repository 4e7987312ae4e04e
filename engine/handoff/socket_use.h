#pragma once

#include <cstdint>
#include <optional>

namespace ringmaster {

// How many bytes programs have read from a connected TCP socket and written to it since it was
// accepted, whichever process they were, as the kernel counts them: what was received less what
// still waits to be read, what was acknowledged plus what is on its way. Half an answer that a
// process read before it died shows here.
//
//   const std::optional<SocketUse> use = SocketUse::Of(fd);
//   if (use && use->bytes_read == connection.bytes_received()) ...  // nobody else has read of it
//
// Source: tcp(7), TCP_INFO (tcpi_bytes_received, tcpi_bytes_acked), SIOCINQ, SIOCOUTQ.
struct SocketUse {
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;

  // nullopt: it is no TCP socket, or this side has closed it already (shutdown(2)), or it is reset.
  static std::optional<SocketUse> Of(int fd);
};

}  // namespace ringmaster
