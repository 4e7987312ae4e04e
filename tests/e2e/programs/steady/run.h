#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>

#include "tests/e2e/programs/steady/event_loop.h"
#include "tests/e2e/programs/steady/keep_alive.h"
#include "tests/e2e/programs/steady/new_connections.h"
#include "tests/e2e/programs/steady/options.h"
#include "tests/e2e/programs/steady/report.h"
#include "tests/e2e/programs/steady/websocket.h"

namespace steady {

// One run from the first connection to the last close:
//
//   opening ──▶ traffic ──▶ settling ──▶ probing ──▶ closing ──▶ done
//      └─────────────── a connection did not open ───────────────▶
//
// Traffic ends by time, by signal or with stdin. Settling waits for what is outstanding; probing
// sends one message on every idle WebSocket; closing is the closing handshake of all WebSockets.
class Run {
 public:
  Run(EventLoop& loop, const Options& options, Report& report);

  void Start();
  // Ends the traffic; before it, the run.
  void End(std::string_view why);

 private:
  enum class Phase : uint8_t { kOpening, kTraffic, kSettling, kProbing, kClosing, kDone };

  void OnTurn();
  void Open();
  void BeginTraffic();
  void ProbeIdle(Nanoseconds now);
  void Step();
  void CheckTimeouts(Nanoseconds now);
  void Finish();
  bool AllSettled() const;
  size_t websocket_count() const { return websockets_.size() + idle_.size(); }
  WebSocketClient& websocket(size_t index);

  EventLoop& loop_;
  const Options& options_;
  Report& report_;
  Timer turn_timer_;
  Phase phase_ = Phase::kOpening;
  Nanoseconds traffic_ends_at_ = 0;
  // While kSettling.
  Nanoseconds phase_ends_at_ = 0;
  Nanoseconds next_check_at_ = 0;
  Nanoseconds next_progress_at_ = 0;
  Nanoseconds next_probe_at_ = 0;
  uint64_t probe_count_ = 0;
  // What the phase has reached, of all WebSockets or of the idle ones.
  size_t next_index_ = 0;
  NewConnections new_connections_;
  std::deque<KeepAliveClient> keepalive_;
  std::deque<WebSocketClient> websockets_;
  std::deque<WebSocketClient> idle_;
};

}  // namespace steady
