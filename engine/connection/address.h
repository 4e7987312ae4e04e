#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace ringmaster {

// A socket address as sockaddr, ready for bind(2) and connect(2).
//
//   Address::Parse("0.0.0.0:8080"), Address::Parse("[::1]:8080"),
//   Address::Parse("unix:/run/app.sock")
//
// Names are not looked up: that would block. Errors: kInvalidArgument, with what would be right.
class Address {
 public:
  static absl::StatusOr<Address> Parse(std::string_view text);

  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }
  int family() const { return storage_.ss_family; }
  bool is_unix() const { return family() == AF_UNIX; }
  // The path of a unix socket, else empty; an abstract one ("unix:@name") has none.
  std::string_view unix_path() const;
  uint16_t port() const;
  void set_port(uint16_t port);
  // The form that Parse reads.
  std::string ToString() const;

  friend bool operator==(const Address& a, const Address& b);

 private:
  sockaddr_storage storage_ = {};
  socklen_t size_ = 0;
};

// The peer of a connection in 20 bytes: an IPv4 address, an IPv6 address, or a unix socket (no
// address). Bytes are in network order, the port in host order.
struct PeerAddress {
  uint8_t bytes[16] = {};
  uint16_t port = 0;
  uint16_t family = AF_UNSPEC;

  static PeerAddress Of(const sockaddr_storage& storage);
  // "192.0.2.1:4711", "[2001:db8::1]:4711", "unix".
  std::string ToString() const;
  // Without the port.
  std::string Host() const;
};

}  // namespace ringmaster
