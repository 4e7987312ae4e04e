#pragma once

#include <string>
#include <string_view>

#include "engine/framed_protocol.h"

namespace ringmaster {

// Lines, for tests whose clients are a few lines themselves.
struct LineProtocol {
  static constexpr std::string_view kName = "line";
  using Message = std::string_view;
  static FrameResult Frame(std::string_view input) {
    const size_t end = input.find('\n');
    return end == input.npos ? FrameResult::More() : FrameResult::Message(end + 1);
  }
  static Message Decode(std::string_view frame) { return frame.substr(0, frame.size() - 1); }
  static void Encode(std::string_view message, std::string& out) { out.append(message) += '\n'; }
};

using Lines = FramedProtocol<LineProtocol>;

}  // namespace ringmaster
