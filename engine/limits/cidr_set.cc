#include "engine/limits/cidr_set.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

namespace ringmaster {
namespace {

constexpr uint8_t kMappedBits = 96;                   // of ::ffff:0:0/96
constexpr uint64_t kMappedPrefix = 0xFFFF'0000'0000;  // in the low half

uint64_t BigEndian(const uint8_t* bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | bytes[i];
  return value;
}

absl::Status Refuse(std::string_view block, std::string_view reason) {
  return absl::InvalidArgumentError(
      fmt::format("\"{}\" is no block of addresses: {}; write \"10.0.0.0/8\", \"192.0.2.7\", "
                  "\"2001:db8::/32\" or \"unix\"",
                  block, reason));
}

// The bits above `count` of 64.
uint64_t UpperBits(int count) { return count == 0 ? 0 : ~uint64_t{0} << (64 - count); }

}  // namespace

CidrSet::Block CidrSet::Masked(Block block, uint8_t bits) {
  block.high &= UpperBits(std::min<int>(bits, 64));
  block.low &= UpperBits(std::max<int>(bits - 64, 0));
  block.bits = bits;
  return block;
}

bool CidrSet::ToBlock(const PeerAddress& peer, Block& block) {
  if (peer.family == AF_INET) {
    block.high = 0;
    block.low = kMappedPrefix | BigEndian(peer.bytes) >> 32;
  } else if (peer.family == AF_INET6) {
    block.high = BigEndian(peer.bytes);
    block.low = BigEndian(peer.bytes + 8);
  } else {
    return false;
  }
  block.bits = 128;
  return true;
}

absl::StatusOr<CidrSet> CidrSet::Parse(const std::vector<std::string>& blocks) {
  CidrSet set;
  for (const std::string& block : blocks) {
    if (absl::Status status = set.Add(block); !status.ok()) return status;
  }
  return set;
}

absl::Status CidrSet::Add(std::string_view text) {
  if (text == "unix") {
    unix_ = true;
    entries_.emplace_back(text);
    return absl::OkStatus();
  }
  const size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  PeerAddress address;
  if (host.find('\0') != std::string::npos) return Refuse(text, "NUL in the address");
  if (inet_pton(AF_INET, host.c_str(), address.bytes) == 1) {
    address.family = AF_INET;
  } else if (inet_pton(AF_INET6, host.c_str(), address.bytes) == 1) {
    address.family = AF_INET6;
  } else {
    return Refuse(text, fmt::format("\"{}\" is no IPv4 or IPv6 address", host));
  }
  const int bits_max = address.family == AF_INET ? 32 : 128;
  int bits = bits_max;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const char* const end = digits.data() + digits.size();
    const auto [rest, error] = std::from_chars(digits.data(), end, bits);
    if (error != std::errc() || rest != end || bits < 0 || bits > bits_max) {
      return Refuse(text, fmt::format("the prefix length is a number from 0 to {}", bits_max));
    }
  }
  Block whole;
  ToBlock(address, whole);
  if (address.family == AF_INET) bits += kMappedBits;
  const Block block = Masked(whole, static_cast<uint8_t>(bits));
  if (block.high != whole.high || block.low != whole.low) {
    return Refuse(text, "bits are set behind the prefix");
  }
  blocks_.insert(block);
  if (std::find(lengths_.begin(), lengths_.end(), block.bits) == lengths_.end()) {
    lengths_.push_back(block.bits);
  }
  entries_.emplace_back(text);
  return absl::OkStatus();
}

bool CidrSet::Contains(const PeerAddress& peer) const {
  if (peer.family == AF_UNIX) return unix_;
  Block address;
  if (!ToBlock(peer, address)) return false;
  return std::any_of(lengths_.begin(), lengths_.end(),
                     [&](uint8_t bits) { return blocks_.contains(Masked(address, bits)); });
}

}  // namespace ringmaster
