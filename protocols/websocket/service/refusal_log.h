#pragma once

#include <string_view>

#include "engine/base/log_budget.h"
#include "engine/connection/connection.h"

namespace ringmaster::websocket {

// Logs refused handshakes at a bounded rate: any stranger can cause them.
class RefusalLog {
 public:
  void Refused(const Connection& connection, int status, std::string_view reason);

 private:
  LogBudget budget_;
};

}  // namespace ringmaster::websocket
