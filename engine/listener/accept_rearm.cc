#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>

#include "engine/base/log.h"
#include "engine/listener/listener.h"
#include "engine/worker/worker.h"

// What happens when accepting fails for want of descriptors or memory. The multishot accept has
// ended; the connections stay queued in the kernel and the listener stays readable, so arming again
// at once would spin. Accepting pauses for a while and is armed again; nothing is lost.

namespace ringmaster {
namespace {

// 100 ms: long enough that a full process costs nothing, short enough that a client does not
// notice.
constexpr Duration kAcceptBackOff = std::chrono::milliseconds(100);

}  // namespace

bool Listener::IsShortage(int32_t result) {
  return result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM;
}

void Listener::BackOff(int32_t result) {
  state_ = State::kBackingOff;
  worker_.counters().accept_paused_descriptors.Add();
  const auto arm_again = [this] {
    if (state_ != State::kBackingOff) return;
    state_ = State::kClosed;
    LetIn();
  };
  try {
    worker_.AddTimer(kAcceptBackOff, Duration::zero(), arm_again);
  } catch (const std::bad_alloc&) {
    // Not even a timer: trying at once is better than a door that stays closed.
    arm_again();
    return;
  }
  // At most ten lines a second: the back-off itself bounds the rate.
  try {
    log::Get().warn(
        "accepting on {} pauses for 100 ms: {}; raise RLIMIT_NOFILE or lower the limits",
        definition_.address.ToString(), std::strerror(-result));
  } catch (const std::bad_alloc&) {
    // The line is lost, the counter above is not.
  }
}

}  // namespace ringmaster
