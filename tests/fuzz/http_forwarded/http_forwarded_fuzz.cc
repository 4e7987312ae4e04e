// What the first byte says is the field; the rest is its value, in one line or cut in two.
// Properties: the nodes of an X-Forwarded-For list are those of its elements, wherever it is cut at
// a comma; a node is written the same way by whoever reads it; what a proxy appends is never
// replaced by what stands in front of it.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "protocols/http/codec/forwarded.h"

namespace {

using ringmaster::http::ForwardedChain;
using ringmaster::http::ForwardedNode;

ForwardedNode Ipv4(uint8_t last) {
  ForwardedNode node;
  node.kind = ForwardedNode::Kind::kIpv4;
  node.bytes[0] = 192;
  node.bytes[2] = 2;
  node.bytes[3] = last;
  return node;
}

void RequireSame(const ForwardedChain& a, const ForwardedChain& b) {
  if (a.size() != b.size()) abort();
  for (size_t i = 0; i < a.size(); ++i) {
    if (!(a.FromRight(i) == b.FromRight(i))) abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 4096) return 0;
  const auto copy = std::make_unique<char[]>(size - 1);
  const std::string_view value(copy.get(), size - 1);
  std::copy(data + 1, data + size, copy.get());
  const bool forwarded = data[0] % 2 == 0;
  ForwardedChain chain;
  if (forwarded) {
    chain.AddForwarded(value);
  } else {
    chain.AddXForwardedFor(value);
    const size_t comma = value.find(',', data[0]);
    if (comma != std::string_view::npos) {
      ForwardedChain cut;
      cut.AddXForwardedFor(value.substr(0, comma));
      cut.AddXForwardedFor(value.substr(comma + 1));
      RequireSame(chain, cut);
    }
  }
  if (chain.size() > ForwardedChain::kNodesMax) abort();

  ForwardedChain appended;
  if (forwarded) {
    appended.AddForwarded(std::string(value) + ", for=192.0.2.1;proto=https");
  } else {
    appended.AddXForwardedFor(std::string(value) + ", 192.0.2.1");
  }
  if (appended.size() == 0) abort();
  const ForwardedNode& last = appended.FromRight(0);
  // Hidden by an open quotation mark at worst.
  const bool hidden = forwarded && last.kind == ForwardedNode::Kind::kMalformed;
  if (!hidden && !(last == Ipv4(1))) abort();
  return 0;
}
