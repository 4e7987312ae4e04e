#include "protocols/websocket/service/refusal_log.h"

#include <utility>

#include "engine/base/log.h"
#include "engine/worker/worker.h"

namespace ringmaster::websocket {

bool RefusalLog::Admit(TimePoint now, uint64_t& left_out) {
  if (lines_ == kLinesMax) {
    if (now - period_begin_ < kPeriod.count()) {
      ++left_out_;
      return false;
    }
    period_begin_ = now;
    lines_ = 0;
  }
  ++lines_;
  left_out = std::exchange(left_out_, 0);
  return true;
}

void RefusalLog::Refused(const Connection& connection, int status, std::string_view reason) {
  uint64_t left_out = 0;
  if (!Admit(connection.worker().now(), left_out)) return;
  if (left_out > 0)
    log::Get().info("{} more refused WebSocket handshakes were not logged", left_out);
  log::Get().info("WebSocket handshake of {} refused with {}: {}", connection.peer().ToString(),
                  status, reason);
}

}  // namespace ringmaster::websocket
