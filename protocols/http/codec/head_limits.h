#pragma once

#include <cstdint>

namespace ringmaster::http {

// What a head may take. Beyond: 414 for the target (and for a request line that fills
// head_bytes_max), 431 for the rest.
struct HeadLimits {
  uint32_t head_bytes_max = 16384;   // request line, fields and the empty line together
  uint32_t target_bytes_max = 8192;  // RFC 9112 section 3 asks for at least 8000
  uint32_t fields_max = 100;         // <= RequestHead::kFieldsMax
};

// 501 beyond it (RFC 9112 section 3.1). The longest registered method has 17 bytes.
inline constexpr uint32_t kMethodBytesMax = 32;

}  // namespace ringmaster::http
