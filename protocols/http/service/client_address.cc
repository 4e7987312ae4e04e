#include "protocols/http/service/client_address.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "protocols/http/codec/forwarded.h"
#include "protocols/http/codec/request_head.h"

namespace ringmaster::http {
namespace {

PeerAddress AddressOf(const ForwardedNode& node) {
  PeerAddress address;
  std::copy(std::begin(node.bytes), std::end(node.bytes), address.bytes);
  address.port = node.port;
  address.family = node.kind == ForwardedNode::Kind::kIpv4 ? AF_INET : AF_INET6;
  return address;
}

// Repeated field lines are one list, in their order (RFC 9110 section 5.3).
ForwardedChain ChainOf(const RequestHead& head, ClientAddressSource source) {
  ForwardedChain chain;
  const bool forwarded = source == ClientAddressSource::kForwarded;
  const std::string_view name = forwarded ? "forwarded" : "x-forwarded-for";
  for (uint32_t i = head.FindIndex(name); i < head.field_count; i = head.FindIndex(name, i + 1)) {
    if (forwarded) {
      chain.AddForwarded(head.fields[i].value);
    } else {
      chain.AddXForwardedFor(head.fields[i].value);
    }
  }
  return chain;
}

}  // namespace

std::optional<PeerAddress> ClientOf(const PeerAddress& peer, const RequestHead& head,
                                    ClientAddressSource source, const CidrSet& trusted) {
  std::optional<PeerAddress> client;
  if (source == ClientAddressSource::kPeer || !trusted.Contains(peer)) return client;
  const ForwardedChain chain = ChainOf(head, source);
  for (size_t i = 0; i < chain.size() && chain.FromRight(i).is_address(); ++i) {
    client = AddressOf(chain.FromRight(i));
    if (!trusted.Contains(*client)) break;
  }
  return client;
}

}  // namespace ringmaster::http
