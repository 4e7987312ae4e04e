#include <cstdint>
#include <cstdlib>
#include <string>

#include "tests/protocols/websocket/codec/frames_for_test.h"

// Frames, cut as the input says: the events must be those of the whole. Byte 0: role and limits;
// byte 1: how many cut sizes follow; then the sizes; the rest is the stream.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringmaster::websocket;
  if (size < 3) return 0;
  const Role role = (data[0] & 1) != 0 ? Role::kClient : Role::kServer;
  const FrameLimits limits{.message_bytes_max = (data[0] & 2) != 0 ? 300u : 1u << 20,
                           .fragments_max = (data[0] & 4) != 0 ? 3u : 1000u};
  const size_t size_count = 1 + data[1] % 8;
  if (size < 2 + size_count) return 0;
  const std::vector<size_t> sizes(data + 2, data + 2 + size_count);
  const std::string_view stream(reinterpret_cast<const char*>(data) + 2 + size_count,
                                size - 2 - size_count);
  if (stream.empty()) return 0;
  const std::string whole = ParseWhole(stream, limits, role);
  if (ParseCut(stream, sizes, limits, role) != whole) std::abort();
  if (ParseCut(stream, {1}, limits, role) != whole) std::abort();
  return 0;
}
