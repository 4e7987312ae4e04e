#include "protocols/proxy/codec/header_v2.h"

#include "protocols/proxy/codec/crc32c.h"

namespace ringmaster::proxy {
namespace {

using Family = ProxyHeader::Family;

constexpr size_t kFixedBytes = 16;  // in front of the addresses
constexpr size_t kVersionAt = 12;
constexpr size_t kFamilyAt = 13;
constexpr size_t kLengthAt = 14;
constexpr uint8_t kVersionMask = 0xF0;
constexpr uint8_t kVersion2 = 0x20;
constexpr uint8_t kLocal = 0x0;
constexpr uint8_t kProxy = 0x1;
constexpr size_t kUnixAddressBytes = 108;
constexpr size_t kTlvHeadBytes = 3;
constexpr uint8_t kTlvCrc32c = 0x03;  // PP2_TYPE_CRC32C
constexpr size_t kCrcBytes = 4;

uint8_t ByteAt(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }
uint16_t Word16At(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(ByteAt(bytes, at) << 8 | ByteAt(bytes, at + 1));
}

// What the byte of family and transport means; false: nothing that a stream can have.
bool FamilyOf(uint8_t byte, Family& family, size_t& address_bytes) {
  switch (byte) {
    case 0x00:  // UNSPEC
      family = Family::kNone;
      address_bytes = 0;
      return true;
    case 0x11:  // TCP over IPv4
      family = Family::kIpv4;
      address_bytes = 4;
      return true;
    case 0x21:  // TCP over IPv6
      family = Family::kIpv6;
      address_bytes = 16;
      return true;
    case 0x31:  // a unix stream
      family = Family::kUnix;
      address_bytes = kUnixAddressBytes;
      return true;
    default:  // datagrams, and what is not assigned
      return false;
  }
}

// Two addresses, then two ports; unix addresses are paths, which say nothing to us.
void ReadEndpoints(std::string_view bytes, size_t address_bytes, ProxyHeader& header) {
  for (size_t i = 0; i < address_bytes; ++i) {
    header.source.bytes[i] = ByteAt(bytes, i);
    header.destination.bytes[i] = ByteAt(bytes, address_bytes + i);
  }
  header.source.port = Word16At(bytes, 2 * address_bytes);
  header.destination.port = Word16At(bytes, 2 * address_bytes + 2);
}

// The checksum is over the whole header with zeros in its own place.
bool ChecksumIsRight(std::string_view whole, size_t at) {
  uint32_t sum = kCrc32cBegin;
  sum = UpdateCrc32c(sum, whole.substr(0, at));
  sum = UpdateCrc32c(sum, std::string_view("\0\0\0\0", kCrcBytes));
  sum = UpdateCrc32c(sum, whole.substr(at + kCrcBytes));
  const uint32_t carried = uint32_t{Word16At(whole, at)} << 16 | uint32_t{Word16At(whole, at + 2)};
  return FinishCrc32c(sum) == carried;
}

// Walks the extensions of `whole` from `at`; all but the checksum are skipped.
ProxyHeaderResult CheckExtensions(std::string_view whole, size_t at) {
  while (at < whole.size()) {
    if (whole.size() - at < kTlvHeadBytes) return ProxyHeaderResult::kBadLength;
    const uint8_t type = ByteAt(whole, at);
    const size_t bytes = Word16At(whole, at + 1);
    at += kTlvHeadBytes;
    if (bytes > whole.size() - at) return ProxyHeaderResult::kBadLength;
    if (type == kTlvCrc32c) {
      if (bytes != kCrcBytes) return ProxyHeaderResult::kBadLength;
      if (!ChecksumIsRight(whole, at)) return ProxyHeaderResult::kBadChecksum;
    }
    at += bytes;
  }
  return ProxyHeaderResult::kDone;
}

}  // namespace

ProxyHeaderResult ParseHeaderV2(std::string_view input, ProxyHeader& header) {
  header.version = 2;
  if (input.size() <= kVersionAt) return ProxyHeaderResult::kNeedMore;
  const uint8_t version = ByteAt(input, kVersionAt);
  const uint8_t command = version & static_cast<uint8_t>(~kVersionMask);
  if ((version & kVersionMask) != kVersion2 || command > kProxy) {
    return ProxyHeaderResult::kBadCommand;
  }
  if (input.size() <= kFamilyAt) return ProxyHeaderResult::kNeedMore;
  size_t address_bytes = 0;
  Family family = Family::kNone;
  // LOCAL: "the receiver must discard the protocol block including the family which is ignored".
  const bool local = command == kLocal;
  if (!local && !FamilyOf(ByteAt(input, kFamilyAt), family, address_bytes)) {
    return ProxyHeaderResult::kBadFamily;
  }
  if (input.size() < kFixedBytes) return ProxyHeaderResult::kNeedMore;
  const size_t total = kFixedBytes + Word16At(input, kLengthAt);
  if (total > kHeaderV2BytesMax) return ProxyHeaderResult::kTooLong;
  const bool has_ports = family == Family::kIpv4 || family == Family::kIpv6;
  const size_t endpoint_bytes = 2 * address_bytes + (has_ports ? 4 : 0);
  if (total < kFixedBytes + endpoint_bytes) return ProxyHeaderResult::kBadLength;
  if (input.size() < total) return ProxyHeaderResult::kNeedMore;
  const std::string_view whole = input.substr(0, total);
  header.header_bytes = total;
  if (local) return ProxyHeaderResult::kDone;
  header.family = family;
  if (has_ports) ReadEndpoints(whole.substr(kFixedBytes), address_bytes, header);
  // What follows addresses of no family cannot be told apart from extensions: it is skipped.
  if (family == Family::kNone) return ProxyHeaderResult::kDone;
  return CheckExtensions(whole, kFixedBytes + endpoint_bytes);
}

}  // namespace ringmaster::proxy
