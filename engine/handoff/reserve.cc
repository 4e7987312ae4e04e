#include "engine/handoff/reserve.h"

#include <optional>
#include <utility>

#include "engine/handoff/socket_use.h"
#include "engine/handoff/taker.h"
#include "engine/worker/worker.h"

namespace ringmaster {

void HandoffReserve::Keep(UniqueFd fd, std::string_view state, uint64_t bytes_received,
                          uint64_t bytes_sent) {
  kept_.push_back({std::move(fd), std::string(state), bytes_received, bytes_sent});
}

void HandoffReserve::Clear() { std::exchange(kept_, {}); }

HandoffReserve::Result HandoffReserve::TakeBack(Worker& worker) {
  Result result;
  for (Kept& kept : std::exchange(kept_, {})) {
    const std::optional<SocketUse> use = SocketUse::Of(kept.fd.get());
    if (use && use->bytes_read == kept.bytes_received && use->bytes_written == kept.bytes_sent &&
        HandoffTaker::TakeAtOnce(worker, kept.fd, kept.state)) {
      ++result.taken;
    } else {
      ++result.lost;
    }
  }
  return result;
}

}  // namespace ringmaster
