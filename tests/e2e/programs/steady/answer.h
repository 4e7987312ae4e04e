#pragma once

#include <cstddef>
#include <string_view>

namespace steady {

// One HTTP/1.1 response (RFC 9112). Views point into what was parsed.
struct Answer {
  int status = 0;
  std::string_view body;
  std::string_view websocket_accept;
  std::string_view generation;  // of the field that was asked for
  bool has_generation = false;
  bool says_close = false;
  size_t bytes = 0;  // head and body
};

enum class AnswerState { kIncomplete, kWhole, kMalformed };

// Takes one answer, behind any interim ones, from the front of `bytes`. Judges strictly: of the
// body's length only Content-Length is a proof that it is whole. `generation_field` may be empty.
AnswerState ParseAnswer(std::string_view bytes, std::string_view generation_field, Answer& answer);

}  // namespace steady
