#pragma once

#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "protocols/websocket/codec/frame_parser.h"

namespace ringmaster::websocket {

// What a parser holds of a frame or message that is not complete, for another process.
void SaveFrames(const FrameParser& parser, StateWriter& out);
// Into a parser that has seen nothing yet. False: it makes no sense, or is more than `limits`
// allow.
bool LoadFrames(FrameParser& parser, const FrameLimits& limits, StateReader& in);

}  // namespace ringmaster::websocket
