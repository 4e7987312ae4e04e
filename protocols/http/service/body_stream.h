#pragma once

#include <string_view>

#include "absl/functional/any_invocable.h"

namespace ringmaster::http {

// The content of a request of a streaming route, as it arrives. The handler sets the callbacks;
// they run on the worker's thread, between the handler's call and the answer or after it. If the
// peer leaves or breaks the framing, on_end is not called: the callbacks are destroyed with what
// they hold.
class BodyStream {
 public:
  // A piece, never empty, valid during the call.
  absl::AnyInvocable<void(std::string_view)> on_data;
  // The content is complete. `trailers` are the trailer lines as they came, checked.
  absl::AnyInvocable<void(std::string_view trailers)> on_end;
};

}  // namespace ringmaster::http
