#include "engine/connection/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>

#include "engine/base/check.h"

namespace ringmaster {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr size_t kUnixPathOffset = offsetof(sockaddr_un, sun_path);

std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || rest != end) return std::nullopt;
  return port;
}

absl::Status Refuse(std::string_view text, std::string_view reason) {
  return absl::InvalidArgumentError(fmt::format(
      "\"{}\" is no address: {}; write \"127.0.0.1:8080\", \"[::1]:8080\" or \"unix:/run/x.sock\"",
      text, reason));
}

std::string FormatIp(int family, const void* bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  CHECK(inet_ntop(family, bytes, text, sizeof(text)) != nullptr);
  return text;
}

}  // namespace

absl::StatusOr<Address> Address::Parse(std::string_view text) {
  Address address;
  if (text.starts_with(kUnixPrefix)) {
    const std::string_view path = text.substr(kUnixPrefix.size());
    auto* const unix_address = reinterpret_cast<sockaddr_un*>(&address.storage_);
    if (path.empty() || path == "@") return Refuse(text, "the path is empty");
    if (path.find('\0') != std::string_view::npos) return Refuse(text, "NUL in the path");
    // One byte is left for the NUL behind a path; an abstract name has none, but keeps the same
    // bound.
    if (path.size() >= sizeof(unix_address->sun_path)) {
      return Refuse(text, fmt::format("the path has {} bytes and the kernel takes {}", path.size(),
                                      sizeof(unix_address->sun_path) - 1));
    }
    unix_address->sun_family = AF_UNIX;
    std::memcpy(unix_address->sun_path, path.data(), path.size());
    const bool abstract = path.front() == '@';
    if (abstract) unix_address->sun_path[0] = '\0';
    address.size_ = static_cast<socklen_t>(kUnixPathOffset + path.size() + (abstract ? 0 : 1));
    return address;
  }

  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Refuse(text, "the port is missing");
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  if (text.front() == '[' && (host.empty() || host.back() != ']')) {
    return Refuse(text, "an IPv6 address ends with \"]\" and a port behind it");
  }
  if (!host.empty() && host.front() != '[' && host.find(':') != std::string_view::npos) {
    return Refuse(text, "an IPv6 address stands in brackets, its port behind them");
  }
  if (host.empty()) {
    return Refuse(text, "the host is missing (\"0.0.0.0\" and \"[::]\" stand for every interface)");
  }
  const std::optional<uint16_t> port = ParsePort(port_text);
  if (!port) {
    return Refuse(text, fmt::format("the port is a number from 0 to 65535, got \"{}\"", port_text));
  }
  if (host.front() == '[') {
    const std::string inner(host.substr(1, host.size() - 2));
    auto* const ipv6 = reinterpret_cast<sockaddr_in6*>(&address.storage_);
    // inet_pton reads to the first NUL; one inside would hide the rest.
    if (inner.find('\0') != std::string::npos ||
        inet_pton(AF_INET6, inner.c_str(), &ipv6->sin6_addr) != 1) {
      return Refuse(text, fmt::format("\"{}\" is no IPv6 address", inner));
    }
    ipv6->sin6_family = AF_INET6;
    address.size_ = sizeof(sockaddr_in6);
  } else {
    const std::string name(host);
    auto* const ipv4 = reinterpret_cast<sockaddr_in*>(&address.storage_);
    if (name.find('\0') != std::string::npos ||
        inet_pton(AF_INET, name.c_str(), &ipv4->sin_addr) != 1) {
      return Refuse(text, fmt::format("\"{}\" is no IPv4 address (names are not looked up)", name));
    }
    ipv4->sin_family = AF_INET;
    address.size_ = sizeof(sockaddr_in);
  }
  address.set_port(*port);
  return address;
}

std::string_view Address::unix_path() const {
  if (!is_unix()) return {};
  const auto* const unix_address = reinterpret_cast<const sockaddr_un*>(&storage_);
  return unix_address->sun_path;  // an abstract name begins with NUL: it has no path
}

uint16_t Address::port() const {
  switch (family()) {
    case AF_INET:
      return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
    case AF_INET6:
      return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
    default:
      return 0;
  }
}

void Address::set_port(uint16_t port) {
  switch (family()) {
    case AF_INET:
      reinterpret_cast<sockaddr_in*>(&storage_)->sin_port = htons(port);
      break;
    case AF_INET6:
      reinterpret_cast<sockaddr_in6*>(&storage_)->sin6_port = htons(port);
      break;
    default:
      break;
  }
}

std::string Address::ToString() const {
  switch (family()) {
    case AF_INET: {
      const auto* const ipv4 = reinterpret_cast<const sockaddr_in*>(&storage_);
      return fmt::format("{}:{}", FormatIp(AF_INET, &ipv4->sin_addr), port());
    }
    case AF_INET6: {
      const auto* const ipv6 = reinterpret_cast<const sockaddr_in6*>(&storage_);
      return fmt::format("[{}]:{}", FormatIp(AF_INET6, &ipv6->sin6_addr), port());
    }
    case AF_UNIX: {
      const auto* const unix_address = reinterpret_cast<const sockaddr_un*>(&storage_);
      if (!unix_path().empty()) return fmt::format("unix:{}", unix_path());
      if (size_ <= kUnixPathOffset + 1) return "unix:";
      return fmt::format("unix:@{}",
                         std::string_view(unix_address->sun_path + 1, size_ - kUnixPathOffset - 1));
    }
    default:
      return "";
  }
}

bool operator==(const Address& a, const Address& b) {
  return a.size_ == b.size_ && std::memcmp(&a.storage_, &b.storage_, a.size_) == 0;
}

PeerAddress PeerAddress::Of(const sockaddr_storage& storage) {
  PeerAddress peer;
  peer.family = storage.ss_family;
  if (storage.ss_family == AF_INET) {
    const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(storage);
    std::memcpy(peer.bytes, &ipv4.sin_addr, sizeof(ipv4.sin_addr));
    peer.port = ntohs(ipv4.sin_port);
  } else if (storage.ss_family == AF_INET6) {
    const auto& ipv6 = reinterpret_cast<const sockaddr_in6&>(storage);
    std::memcpy(peer.bytes, &ipv6.sin6_addr, sizeof(ipv6.sin6_addr));
    peer.port = ntohs(ipv6.sin6_port);
  }
  return peer;
}

std::string PeerAddress::Host() const {
  switch (family) {
    case AF_INET:
    case AF_INET6:
      return FormatIp(family, bytes);
    case AF_UNIX:
      return "unix";
    default:
      return "";
  }
}

std::string PeerAddress::ToString() const {
  switch (family) {
    case AF_INET:
      return fmt::format("{}:{}", Host(), port);
    case AF_INET6:
      return fmt::format("[{}]:{}", Host(), port);
    default:
      return Host();
  }
}

}  // namespace ringmaster
