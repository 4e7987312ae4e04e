#pragma once

#include <cstdint>
#include <string_view>

namespace ringmaster::websocket {

// Checks UTF-8 (RFC 3629) that arrives in pieces, and fails at the first octet that no continuation
// of the text could make valid: overlong forms, surrogates and values above U+10FFFF are seen at
// their second octet, not at the end.
class Utf8Validator {
 public:
  // False at the first bad octet; the validator is then of no more use until Reset.
  bool Feed(std::string_view bytes);
  // Whether the text may end here, that is, no sequence is incomplete.
  bool at_boundary() const { return continuations_ == 0; }
  void Reset() { continuations_ = 0; }

 private:
  bool FeedByByte(std::string_view bytes);

  // Continuation octets still to come, and the range of the next one, valid when it is not 0.
  uint8_t continuations_ = 0;
  uint8_t lowest_ = 0x80;
  uint8_t highest_ = 0xBF;
};

// A whole text at once.
bool IsValidUtf8(std::string_view text);

}  // namespace ringmaster::websocket
