#pragma once

#include <string_view>

#include "protocols/proxy/codec/proxy_header.h"

namespace ringmaster::proxy {

inline constexpr std::string_view kSignatureV1 = "PROXY ";

// Version 1, a line of text: "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n". `input` begins like
// the signature.
ProxyHeaderResult ParseHeaderV1(std::string_view input, ProxyHeader& header);

}  // namespace ringmaster::proxy
