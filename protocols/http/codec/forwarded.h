#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

// For whom a proxy made a request: Forwarded (RFC 7239) and X-Forwarded-For, which has no
// specification but the habit of appending the address of the hop before, behind a comma.

namespace ringmaster::http {

// What one proxy said about whom it got the request from.
struct ForwardedNode {
  enum class Kind : uint8_t {
    kMalformed,
    kUnknown,     // "unknown" (RFC 7239 section 6.2), or it said nothing
    kObfuscated,  // "_hidden": an identifier of the proxy's own (section 6.3)
    kIpv4,        // the first four of `bytes`
    kIpv6,
  };

  Kind kind = Kind::kMalformed;
  uint16_t port = 0;  // 0 = none was given
  uint8_t bytes[16] = {};

  bool is_address() const { return kind == Kind::kIpv4 || kind == Kind::kIpv6; }
  bool operator==(const ForwardedNode&) const = default;
};

// The nodes of a request's fields, read from the right: the hop nearest to us spoke last, and what
// stands further left was only ever as true as the one who passed it on.
//
//   ForwardedChain chain;
//   for (each Forwarded field line, in order) chain.AddForwarded(value);
//   for (size_t i = 0; i < chain.size(); ++i) chain.FromRight(i)
//
// Something malformed is a node of its own and ends at the next comma, so that what a stranger
// wrote in front cannot hide what a proxy wrote behind it; a quotation mark that is never closed
// ends its field line. Empty elements are skipped.
class ForwardedChain {
 public:
  // A chain of more proxies than this is not looked at any further.
  static constexpr size_t kNodesMax = 32;

  void AddForwarded(std::string_view value);
  void AddXForwardedFor(std::string_view value);

  // At most kNodesMax.
  size_t size() const { return added_ < kNodesMax ? added_ : kNodesMax; }
  const ForwardedNode& FromRight(size_t index) const {
    return nodes_[(added_ - 1 - index) % kNodesMax];
  }

 private:
  void Add(const ForwardedNode& node) { nodes_[added_++ % kNodesMax] = node; }

  // A ring: the oldest make room.
  std::array<ForwardedNode, kNodesMax> nodes_;
  size_t added_ = 0;
};

// `node` of RFC 7239 section 6, without quotation marks: "192.0.2.43", "192.0.2.43:47011",
// "[2001:db8:cafe::17]:4711", "unknown", "_gazonk:_port".
ForwardedNode ParseForwardedNode(std::string_view text);

}  // namespace ringmaster::http
