#pragma once

#include <cstdint>
#include <optional>

#include "engine/connection/address.h"
#include "engine/limits/cidr_set.h"

namespace ringmaster::http {

class RequestHead;

// Where the address of a request's client is taken from. The fields count only in what a trusted
// proxy sent (ServiceOptions::trusted_proxies).
enum class ClientAddressSource : uint8_t {
  kPeer,           // the connection's peer, or whom a PROXY protocol header named
  kForwarded,      // Forwarded (RFC 7239)
  kXForwardedFor,  // X-Forwarded-For
};

// Whose request `head` is, when `peer` sent it. If the peer is trusted, the addresses that `source`
// names are walked from the right, each told by the one before: past those that are trusted, to the
// first that is not. What is malformed, "unknown" or obfuscated ends the walk: the client then is
// the last proxy that could be told. The port is 0 where none was given. nullopt: the peer itself.
std::optional<PeerAddress> ClientOf(const PeerAddress& peer, const RequestHead& head,
                                    ClientAddressSource source, const CidrSet& trusted);

}  // namespace ringmaster::http
