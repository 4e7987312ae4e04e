#include "protocols/proxy/codec/header_v1.h"

#include <arpa/inet.h>

#include <cstring>

namespace ringmaster::proxy {
namespace {

// Up to the next single space, which is taken too. The last word has none behind it.
std::string_view TakeWord(std::string_view& line) {
  const size_t space = line.find(' ');
  const std::string_view word = line.substr(0, space);
  line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  return word;
}

bool ParseIp(int family, std::string_view text, uint8_t* bytes) {
  char terminated[INET6_ADDRSTRLEN + 1];
  if (text.size() >= sizeof(terminated)) return false;
  // inet_pton reads to the first NUL; one inside would hide the rest.
  if (text.find('\0') != std::string_view::npos) return false;
  memcpy(terminated, text.data(), text.size());
  terminated[text.size()] = '\0';
  return inet_pton(family, terminated, bytes) == 1;
}

// "The TCP source port represented as a decimal integer in the range [0..65535] inclusive", without
// zeros in front.
bool ParsePort(std::string_view text, uint16_t& port) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text.front() == '0')) return false;
  uint32_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<uint32_t>(c - '0');
  }
  if (value > 65535) return false;
  port = static_cast<uint16_t>(value);
  return true;
}

bool ParseLine(std::string_view line, ProxyHeader& header) {
  const std::string_view family = TakeWord(line);
  // "The receiver must ignore anything presented before the CRLF."
  if (family == "UNKNOWN") return true;
  const bool ipv4 = family == "TCP4";
  if (!ipv4 && family != "TCP6") return false;
  header.family = ipv4 ? ProxyHeader::Family::kIpv4 : ProxyHeader::Family::kIpv6;
  const int kind = ipv4 ? AF_INET : AF_INET6;
  if (!ParseIp(kind, TakeWord(line), header.source.bytes)) return false;
  if (!ParseIp(kind, TakeWord(line), header.destination.bytes)) return false;
  // The last word is all that is left: a space in it is no digit.
  return ParsePort(TakeWord(line), header.source.port) && ParsePort(line, header.destination.port);
}

}  // namespace

ProxyHeaderResult ParseHeaderV1(std::string_view input, ProxyHeader& header) {
  header.version = 1;
  const size_t end = input.substr(0, kHeaderV1BytesMax).find("\r\n");
  if (end == std::string_view::npos) {
    return input.size() < kHeaderV1BytesMax ? ProxyHeaderResult::kNeedMore
                                            : ProxyHeaderResult::kTooLong;
  }
  if (!ParseLine(input.substr(kSignatureV1.size(), end - kSignatureV1.size()), header)) {
    return ProxyHeaderResult::kBadLine;
  }
  header.header_bytes = end + 2;
  return ProxyHeaderResult::kDone;
}

}  // namespace ringmaster::proxy
