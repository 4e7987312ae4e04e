#include "engine/process/bound_address.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <string_view>

#include "engine/connection/address.h"

namespace ringmaster {

std::string BoundAddress(int fd) {
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return "?";
  if (bound.ss_family != AF_UNIX) return PeerAddress::Of(bound).ToString();
  const auto& name = reinterpret_cast<const sockaddr_un&>(bound);
  if (size <= offsetof(sockaddr_un, sun_path)) return "unix:";
  const size_t bytes = size - offsetof(sockaddr_un, sun_path);
  if (name.sun_path[0] != '\0') return fmt::format("unix:{}", name.sun_path);
  return fmt::format("unix:@{}", std::string_view(name.sun_path + 1, bytes - 1));
}

}  // namespace ringmaster
