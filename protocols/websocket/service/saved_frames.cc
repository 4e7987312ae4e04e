#include "protocols/websocket/service/saved_frames.h"

#include <cstdint>

namespace ringmaster::websocket {

void SaveFrames(const FrameParser& parser, StateWriter& out) {
  out.Bool(parser.incomplete());
  if (!parser.incomplete()) return;
  const FrameProgress progress = parser.Progress();
  out.Unsigned(progress.stage);
  out.Unsigned(progress.stage_bytes);
  out.Unsigned(progress.first_byte);
  out.Unsigned(progress.message_opcode);
  out.Unsigned(progress.fragment_count);
  out.Unsigned(progress.frame_bytes_left);
  out.Unsigned(progress.masking_key);
  out.Bytes(progress.message);
  out.Bytes(progress.control);
}

bool LoadFrames(FrameParser& parser, const FrameLimits& limits, StateReader& in) {
  if (!in.Bool()) return in.ok();
  FrameProgress progress;
  progress.stage = static_cast<uint8_t>(in.UnsignedUpTo(UINT8_MAX));
  progress.stage_bytes = static_cast<uint8_t>(in.UnsignedUpTo(UINT8_MAX));
  progress.first_byte = static_cast<uint8_t>(in.UnsignedUpTo(UINT8_MAX));
  progress.message_opcode = static_cast<uint8_t>(in.UnsignedUpTo(UINT8_MAX));
  progress.fragment_count = static_cast<uint32_t>(in.UnsignedUpTo(UINT32_MAX));
  progress.frame_bytes_left = in.Unsigned();
  progress.masking_key = static_cast<uint32_t>(in.UnsignedUpTo(UINT32_MAX));
  progress.message = in.Bytes();
  progress.control = in.Bytes();
  return in.ok() && parser.Resume(progress, limits);
}

}  // namespace ringmaster::websocket
