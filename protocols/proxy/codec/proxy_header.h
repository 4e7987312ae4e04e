#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

// The PROXY protocol (haproxy's proxy-protocol.txt, version 1 and 2): the first bytes of a
// connection that a proxy makes, which say for whom it makes it.

namespace ringmaster::proxy {

// The longest version 1 line that its specification allows, CRLF included.
inline constexpr size_t kHeaderV1BytesMax = 107;
// Version 2, all of it. Addresses take up to 232 bytes; the rest is for extensions (TLVs), of which
// a proxy that ends TLS sends the most. The specification advises to stay within 536.
inline constexpr size_t kHeaderV2BytesMax = 2048;

struct ProxyEndpoint {
  uint8_t bytes[16] = {};  // network order; IPv4 in the first four
  uint16_t port = 0;

  bool operator==(const ProxyEndpoint&) const = default;
};

struct ProxyHeader {
  enum class Family : uint8_t {
    kNone,  // the proxy speaks for itself (LOCAL: a health check), or cannot say (UNKNOWN, UNSPEC)
    kIpv4,
    kIpv6,
    kUnix,  // `source` and `destination` are left empty
  };

  int version = 0;
  Family family = Family::kNone;
  ProxyEndpoint source;
  ProxyEndpoint destination;
  size_t header_bytes = 0;  // what the header took of the input

  bool operator==(const ProxyHeader&) const = default;
};

enum class ProxyHeaderResult : uint8_t {
  kDone,
  kNeedMore,
  // Refusals, each at the first byte that shows it or at the end of the line.
  kNoHeader,     // begins like neither version
  kTooLong,      // above the bounds
  kBadLine,      // version 1: not as specified
  kBadCommand,   // version 2: neither LOCAL nor PROXY, or another version
  kBadFamily,    // version 2: no family that streams have
  kBadLength,    // version 2: shorter than its addresses, or an extension reaches beyond its end
  kBadChecksum,  // version 2: the CRC32c that it carries is another's
};

// "begins with no PROXY protocol header", ...: why a header was refused, for logs.
std::string_view ProxyHeaderReason(ProxyHeaderResult result);

// Reads the header at the front of `input`, which is all that has been received. `header` is
// complete with kDone and otherwise not to be used. A function of the bytes alone: given more of
// the same stream after kNeedMore, it comes to what the whole would have come to at once.
ProxyHeaderResult ParseProxyHeader(std::string_view input, ProxyHeader& header);

}  // namespace ringmaster::proxy
