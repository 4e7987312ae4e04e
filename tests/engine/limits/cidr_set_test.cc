#include "engine/limits/cidr_set.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ringmaster {
namespace {

PeerAddress Peer(const char* text) {
  PeerAddress peer;
  if (inet_pton(AF_INET, text, peer.bytes) == 1) {
    peer.family = AF_INET;
  } else if (inet_pton(AF_INET6, text, peer.bytes) == 1) {
    peer.family = AF_INET6;
  }
  return peer;
}

TEST(CidrSet, ContainsExactlyWhatItsPrefixesCover) {
  const CidrSet set = *CidrSet::Parse({"10.0.0.0/8", "192.0.2.7", "2001:db8::/33", "0.0.0.0/32"});
  for (const char* inside : {"10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8::1",
                             "2001:db8:7fff:ffff::", "0.0.0.0"}) {
    EXPECT_TRUE(set.Contains(Peer(inside))) << inside;
  }
  for (const char* outside : {"9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8",
                              "2001:db8:8000::", "2001:db7::", "::", "0.0.0.1", "::1"}) {
    EXPECT_FALSE(set.Contains(Peer(outside))) << outside;
  }
}

TEST(CidrSet, TakesMappedAddressesForIpv4) {
  const CidrSet set = *CidrSet::Parse({"10.0.0.0/8", "::ffff:192.0.2.0/120"});
  EXPECT_TRUE(set.Contains(Peer("::ffff:10.1.2.3")));
  EXPECT_TRUE(set.Contains(Peer("192.0.2.200")));
  EXPECT_FALSE(set.Contains(Peer("192.0.3.0")));
}

TEST(CidrSet, ZeroBitsOfIpv4AreNotAllOfIpv6) {
  const CidrSet all_ipv4 = *CidrSet::Parse({"0.0.0.0/0"});
  EXPECT_TRUE(all_ipv4.Contains(Peer("203.0.113.1")));
  EXPECT_FALSE(all_ipv4.Contains(Peer("2001:db8::1")));
  const CidrSet all = *CidrSet::Parse({"::/0"});
  EXPECT_TRUE(all.Contains(Peer("2001:db8::1")));
  EXPECT_TRUE(all.Contains(Peer("203.0.113.1")));
}

TEST(CidrSet, UnixPeersAreMeantByName) {
  PeerAddress unix_peer;
  unix_peer.family = AF_UNIX;
  EXPECT_FALSE(CidrSet::Parse({"0.0.0.0/0", "::/0"})->Contains(unix_peer));
  EXPECT_TRUE(CidrSet::Parse({"unix"})->Contains(unix_peer));
  EXPECT_FALSE(CidrSet().Contains(unix_peer));
  EXPECT_FALSE(CidrSet::Parse({"::/0"})->Contains(PeerAddress()));
}

TEST(CidrSet, EveryPrefixLengthSplitsWhereItSays) {
  for (int bits = 1; bits <= 32; ++bits) {
    const uint32_t network = bits == 32 ? 0xC0000200u : 0xC0000200u & ~0u << (32 - bits);
    in_addr address = {htonl(network)};
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &address, text, sizeof(text));
    const CidrSet set = *CidrSet::Parse({std::string(text) + "/" + std::to_string(bits)});
    PeerAddress inside;
    inside.family = AF_INET;
    const uint32_t last = htonl(bits == 32 ? network : network | (~0u >> bits));
    std::memcpy(inside.bytes, &last, 4);
    EXPECT_TRUE(set.Contains(inside)) << bits;
    const uint32_t other = htonl(network ^ 1u << (32 - bits));
    std::memcpy(inside.bytes, &other, 4);
    EXPECT_FALSE(set.Contains(inside)) << bits;
  }
}

TEST(CidrSet, RefusesWhatIsNoBlockAndSaysWhy) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"", "is no IPv4 or IPv6 address"},
      {"localhost", "is no IPv4 or IPv6 address"},
      {"10.0.0/8", "is no IPv4 or IPv6 address"},
      {"10.0.0.0/33", "from 0 to 32"},
      {"10.0.0.0/", "from 0 to 32"},
      {"10.0.0.0/-1", "from 0 to 32"},
      {"10.0.0.0/8x", "from 0 to 32"},
      {"::/129", "from 0 to 128"},
      {"10.0.0.1/8", "bits are set behind the prefix"},
      {"2001:db8::1/64", "bits are set behind the prefix"},
  };
  for (const auto& [block, reason] : kWrong) {
    CidrSet set;
    const absl::Status status = set.Add(block);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << block;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(reason)) << block;
    EXPECT_TRUE(set.empty());
  }
}

}  // namespace
}  // namespace ringmaster
