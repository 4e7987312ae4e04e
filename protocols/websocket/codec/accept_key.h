#pragma once

#include <array>
#include <string_view>

namespace ringmaster::websocket {

// base64 of a SHA-1 digest.
using AcceptKey = std::array<char, 28>;

// What a server answers as Sec-WebSocket-Accept to `key`, the field as sent (RFC 6455
// section 4.2.2).
AcceptKey ComputeAcceptKey(std::string_view key);

// Whether `key` is the base64 of exactly 16 bytes, written the one canonical way: 22 characters
// whose unused last four bits are 0, and "==".
bool IsHandshakeKey(std::string_view key);

}  // namespace ringmaster::websocket
