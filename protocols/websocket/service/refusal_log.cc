#include "protocols/websocket/service/refusal_log.h"

#include "engine/base/log.h"
#include "engine/worker/worker.h"

namespace ringmaster::websocket {

void RefusalLog::Refused(const Connection& connection, int status, std::string_view reason) {
  uint64_t left_out = 0;
  if (!budget_.Admit(connection.worker().now(), left_out)) return;
  if (left_out > 0)
    log::Get().info("{} more refused WebSocket handshakes were not logged", left_out);
  log::Get().info("WebSocket handshake of {} refused with {}: {}", connection.peer().ToString(),
                  status, reason);
}

}  // namespace ringmaster::websocket
