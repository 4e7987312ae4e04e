#include "engine/base/descriptor_passing.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

namespace ringmaster {

bool SendDescriptors(int socket, std::string_view bytes, std::span<const int> fds) {
  iovec piece = {const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kDescriptorsPerMessageMax * sizeof(int))] = {};
  if (!fds.empty()) {
    if (fds.size() > kDescriptorsPerMessageMax) {
      errno = EINVAL;
      return false;
    }
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  ssize_t sent;
  do {
    sent = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(bytes.size());
}

bool SendDescriptor(int socket, int fd) {
  const int fds[] = {fd};
  return SendDescriptors(socket, "f", fds);
}

ReceivedDescriptors ReceiveDescriptors(int socket, size_t bytes_max) {
  ReceivedDescriptors received;
  received.bytes.resize(bytes_max);
  iovec piece = {received.bytes.data(), bytes_max};
  alignas(cmsghdr) char
      control[CMSG_SPACE(kDescriptorsPerMessageMax * sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t bytes;
  do {
    bytes = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    // A peer that closed with something unread: said once, in front of what it had sent before.
  } while (bytes < 0 && (errno == EINTR || errno == ECONNRESET));
  if (bytes <= 0) {
    received.bytes.clear();
    received.ended = bytes == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    return received;
  }
  received.bytes.resize(static_cast<size_t>(bytes));
  received.truncated = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS) {
      ucred sender = {};
      std::memcpy(&sender, CMSG_DATA(header), sizeof(sender));
      received.sender = sender.pid;
    }
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      received.fds.emplace_back(fd);
    }
  }
  return received;
}

}  // namespace ringmaster
