#pragma once

#include <cstdint>

namespace ringmaster::http {

// Where the address of a request's client is taken from. The fields count only in what a trusted
// proxy sent (ServiceOptions::trusted_proxies).
enum class ClientAddressSource : uint8_t {
  kPeer,           // the connection's peer, or whom a PROXY protocol header named
  kForwarded,      // Forwarded (RFC 7239)
  kXForwardedFor,  // X-Forwarded-For
};

}  // namespace ringmaster::http
