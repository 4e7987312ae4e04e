#pragma once

#include <string_view>

#include "protocols/proxy/codec/proxy_header.h"

namespace ringmaster::proxy {

inline constexpr std::string_view kSignatureV2("\r\n\r\n\0\r\nQUIT\n", 12);

// Version 2, binary, all numbers in network order. `input` begins like the signature.
//
//     0         12        13       14       16
//     | signature | version | family | length | addresses, then extensions (type, length, value)
//     |           | command | stream | of what follows
ProxyHeaderResult ParseHeaderV2(std::string_view input, ProxyHeader& header);

}  // namespace ringmaster::proxy
