#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/connection/address.h"

namespace ringmaster {

// A set of address blocks in CIDR notation (RFC 4632, RFC 4291 section 2.3).
//
//   CidrSet trusted = *CidrSet::Parse({"10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "unix"});
//   trusted.Contains(connection.peer())
//
// A bare address is a block of one. "unix" stands for the peers of unix sockets. IPv4-mapped IPv6
// addresses (::ffff:192.0.2.7) count as IPv4, in blocks and in peers. A look-up costs one hash
// look-up for each prefix length that occurs, however many blocks there are.
class CidrSet {
 public:
  // Errors: kInvalidArgument, with the entry and what would be right: no address, a prefix length
  // that is too long, bits set behind the prefix ("10.0.0.1/8": write "10.0.0.0/8").
  static absl::StatusOr<CidrSet> Parse(const std::vector<std::string>& blocks);
  // Adds one block. Errors as of Parse; the set is then unchanged.
  absl::Status Add(std::string_view block);

  bool empty() const { return blocks_.empty() && !unix_; }
  bool Contains(const PeerAddress& peer) const;
  // As they were added.
  const std::vector<std::string>& entries() const { return entries_; }

  friend bool operator==(const CidrSet& a, const CidrSet& b) { return a.entries_ == b.entries_; }

 private:
  // An address in its IPv6 form, and how many of its bits count.
  struct Block {
    uint64_t high = 0;
    uint64_t low = 0;
    uint8_t bits = 0;  // 0 to 128
    friend bool operator==(const Block&, const Block&) = default;
    template <typename H>
    friend H AbslHashValue(H state, const Block& block) {
      return H::combine(std::move(state), block.high, block.low, block.bits);
    }
  };
  static Block Masked(Block block, uint8_t bits);
  static bool ToBlock(const PeerAddress& peer, Block& block);

  bool unix_ = false;
  absl::flat_hash_set<Block> blocks_;
  std::vector<uint8_t> lengths_;  // that occur in blocks_, each once
  std::vector<std::string> entries_;
};

}  // namespace ringmaster
