#pragma once

#include <string_view>

#include "protocols/websocket/codec/frame.h"

namespace ringmaster::websocket {

// One whole message, its fragments put together. A received one is valid during the call it was
// given to; one given to Send is copied before Send returns. Text is UTF-8.
struct Message {
  std::string_view bytes;
  Opcode opcode = Opcode::kText;  // kText or kBinary

  bool is_text() const { return opcode == Opcode::kText; }
};

}  // namespace ringmaster::websocket

namespace ringmaster {
using websocket::Message;
}  // namespace ringmaster
