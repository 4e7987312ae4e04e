#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <string_view>

// What a test's client says and hears on a blocking socket.

namespace ringmaster {

inline void SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

// Exactly so many, or what came before the end.
inline std::string ReadBytes(int fd, size_t bytes) {
  std::string all(bytes, '\0');
  const ssize_t got = recv(fd, all.data(), bytes, MSG_WAITALL);
  all.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return all;
}

// Until FIN or RST; what was read.
inline std::string ReadToEnd(int fd) {
  std::string all;
  char buffer[65536];
  while (true) {
    const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
    if (got <= 0) return all;
    all.append(buffer, static_cast<size_t>(got));
  }
}

}  // namespace ringmaster
