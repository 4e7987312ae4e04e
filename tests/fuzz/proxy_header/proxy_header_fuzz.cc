// Every front of the bytes must be incomplete or come to what the whole comes to, and a header
// takes no more than its bound and no more than is there.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "protocols/proxy/codec/proxy_header.h"

namespace {

using ringmaster::proxy::ParseProxyHeader;
using ringmaster::proxy::ProxyHeader;
using ringmaster::proxy::ProxyHeaderResult;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  const auto copy = std::make_unique<char[]>(size);
  std::copy(data, data + size, copy.get());
  const std::string_view bytes(copy.get(), size);
  ProxyHeader whole;
  const ProxyHeaderResult result = ParseProxyHeader(bytes, whole);
  if (result == ProxyHeaderResult::kDone) {
    const size_t most = whole.version == 1 ? ringmaster::proxy::kHeaderV1BytesMax
                                           : ringmaster::proxy::kHeaderV2BytesMax;
    if (whole.header_bytes == 0 || whole.header_bytes > std::min(most, size)) abort();
  }
  // One below the longest header is the most that may be incomplete.
  if (result == ProxyHeaderResult::kNeedMore && size >= ringmaster::proxy::kHeaderV2BytesMax) {
    abort();
  }
  for (size_t cut = 0; cut < size; ++cut) {
    ProxyHeader front;
    const ProxyHeaderResult early = ParseProxyHeader(bytes.substr(0, cut), front);
    if (early == ProxyHeaderResult::kNeedMore) continue;
    if (early != result) abort();
    if (early == ProxyHeaderResult::kDone && !(front == whole)) abort();
    break;
  }
  return 0;
}
