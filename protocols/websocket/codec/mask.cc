#include "protocols/websocket/codec/mask.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace ringmaster::websocket {

#if defined(__SSE2__)

bool MaskLong(char* data, size_t bytes, uint32_t key) {
  const __m128i wide_key = _mm_set1_epi32(static_cast<int>(key));
  __m128i seen = _mm_setzero_si128();
  // One cache line a round: loads and stores keep up, and the loop's own cost vanishes.
  while (bytes >= 64) {
    auto* line = reinterpret_cast<__m128i*>(data);
    const __m128i a = _mm_xor_si128(_mm_loadu_si128(line), wide_key);
    const __m128i b = _mm_xor_si128(_mm_loadu_si128(line + 1), wide_key);
    const __m128i c = _mm_xor_si128(_mm_loadu_si128(line + 2), wide_key);
    const __m128i d = _mm_xor_si128(_mm_loadu_si128(line + 3), wide_key);
    _mm_storeu_si128(line, a);
    _mm_storeu_si128(line + 1, b);
    _mm_storeu_si128(line + 2, c);
    _mm_storeu_si128(line + 3, d);
    seen = _mm_or_si128(seen, _mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d)));
    data += 64;
    bytes -= 64;
  }
  const bool high = _mm_movemask_epi8(seen) != 0;
  return Mask(data, bytes, key) || high;
}

#else

bool MaskLong(char* data, size_t bytes, uint32_t key) {
  bool high = false;
  // 120: a multiple of 4, so that the key keeps its phase, and short of what Mask sends back here.
  for (; bytes >= 120; bytes -= 120, data += 120) high |= Mask(data, 120, key);
  return Mask(data, bytes, key) || high;
}

#endif

}  // namespace ringmaster::websocket
