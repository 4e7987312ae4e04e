#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>

#include "protocols/websocket/codec/frame_parser.h"
#include "protocols/websocket/codec/frame_writer.h"

// What one masked message costs from input to event: header, unmasking in place, UTF-8. The frame
// is copied afresh in every round, since parsing changes it; the copy alone is measured for
// comparison.

namespace ringmaster::websocket {
namespace {

std::string MaskedTextFrame(std::string_view unit, size_t payload_bytes) {
  std::string payload;
  while (payload.size() + unit.size() <= payload_bytes) payload += unit;
  payload.append(payload_bytes - payload.size(), 'x');
  constexpr uint32_t kKey = 0x3DA55A7F;
  std::string frame(FrameHeaderBytes(payload.size(), Role::kClient), '\0');
  WriteFrameHeader(frame.data(), Opcode::kText, payload.size(), true, Role::kClient, kKey);
  Mask(payload.data(), payload.size(), kKey);
  return frame + payload;
}

void ParseText(benchmark::State& state, std::string_view unit) {
  const std::string frame = MaskedTextFrame(unit, static_cast<size_t>(state.range(0)));
  std::string received(frame.size(), '\0');
  FrameParser parser;
  const FrameLimits limits;
  for (auto _ : state) {
    std::memcpy(received.data(), frame.data(), frame.size());
    std::span<char> input(received);
    const FrameEvent event = parser.Next(input, limits);
    if (event.kind != FrameEvent::Kind::kMessage) std::abort();
    benchmark::DoNotOptimize(event.payload.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}

void BM_CopyAlone(benchmark::State& state) {
  const std::string frame = MaskedTextFrame("a", static_cast<size_t>(state.range(0)));
  std::string received(frame.size(), '\0');
  for (auto _ : state) {
    std::memcpy(received.data(), frame.data(), frame.size());
    benchmark::DoNotOptimize(received.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}

BENCHMARK(BM_CopyAlone)->Arg(20)->Arg(16 * 1024);
BENCHMARK_CAPTURE(ParseText, ascii, "a")->Arg(20)->Arg(16 * 1024);
BENCHMARK_CAPTURE(ParseText, multi_byte, "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x8E\xAA")
    ->Arg(20)
    ->Arg(16 * 1024);

}  // namespace
}  // namespace ringmaster::websocket

BENCHMARK_MAIN();
