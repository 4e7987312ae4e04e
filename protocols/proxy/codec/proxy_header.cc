#include "protocols/proxy/codec/proxy_header.h"

#include "protocols/proxy/codec/header_v1.h"
#include "protocols/proxy/codec/header_v2.h"

namespace ringmaster::proxy {
namespace {

bool BeginsLike(std::string_view input, std::string_view signature) {
  return input.substr(0, signature.size()) == signature.substr(0, input.size());
}

}  // namespace

ProxyHeaderResult ParseProxyHeader(std::string_view input, ProxyHeader& header) {
  header = ProxyHeader();
  // The two signatures differ in their first byte.
  if (BeginsLike(input, kSignatureV2)) return ParseHeaderV2(input, header);
  if (BeginsLike(input, kSignatureV1)) return ParseHeaderV1(input, header);
  return ProxyHeaderResult::kNoHeader;
}

std::string_view ProxyHeaderReason(ProxyHeaderResult result) {
  switch (result) {
    case ProxyHeaderResult::kDone:
      return "done";
    case ProxyHeaderResult::kNeedMore:
      return "incomplete";
    case ProxyHeaderResult::kNoHeader:
      return "begins with no PROXY protocol header";
    case ProxyHeaderResult::kTooLong:
      return "the PROXY protocol header is too long";
    case ProxyHeaderResult::kBadLine:
      return "the PROXY protocol line is malformed";
    case ProxyHeaderResult::kBadCommand:
      return "the PROXY protocol header has an unknown version or command";
    case ProxyHeaderResult::kBadFamily:
      return "the PROXY protocol header has an address family that no stream has";
    case ProxyHeaderResult::kBadLength:
      return "the PROXY protocol header has lengths that do not fit";
    case ProxyHeaderResult::kBadChecksum:
      return "the PROXY protocol header has a wrong checksum";
  }
  return "unknown";
}

}  // namespace ringmaster::proxy
