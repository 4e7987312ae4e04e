#pragma once

#include <cstdint>
#include <memory>

#include "engine/base/time.h"
#include "engine/connection/stream_options.h"
#include "engine/worker/timer_queue.h"

namespace ringmaster {

// What few connections have: timeouts that code set for this one, a lifetime, a goodbye that must
// come to its end. Allocated when first needed and gone with the connection; the others pay one
// pointer.
struct OwnBounds {
  // What SetOptions gave. Connection::options() is `options` while that exists, else this.
  const StreamOptions* shared = nullptr;
  std::unique_ptr<StreamOptions> options;  // *shared, with the timeouts that code set
  uint32_t timeouts_set = 0;               // a bit for each of kTimeoutMembers

  // One timer, for the nearer of the two.
  TimePoint lifetime_deadline = kNever;
  TimePoint goodbye_deadline = kNever;
  TimerId timer = 0;
};

inline constexpr Duration Timeouts::*kTimeoutMembers[] = {
    &Timeouts::connect, &Timeouts::handshake, &Timeouts::header,
    &Timeouts::body,    &Timeouts::message,   &Timeouts::read,
    &Timeouts::write,   &Timeouts::close,     &Timeouts::lifetime,
};
static_assert(sizeof(kTimeoutMembers) / sizeof(kTimeoutMembers[0]) ==
              sizeof(Timeouts) / sizeof(Duration));

}  // namespace ringmaster
