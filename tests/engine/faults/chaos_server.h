#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "engine/worker/worker.h"
#include "protocols/web/service/server.h"
#include "tests/engine/faults/chaos_round.h"
#include "tests/engine/faults/fault_ring.h"
#include "tests/engine/line_protocol.h"

namespace ringmaster::faults {

inline constexpr std::string_view kHelloBody = "hello-body!";
inline constexpr std::string_view kLaterBody = "later-body!";
inline constexpr std::string_view kLargeEnd = "large-end!";
inline constexpr std::string_view kFileEnd = "file-end!";

// One worker in a thread of its own, on a small real ring with faults in front of it: HTTP and
// WebSocket on one port, lines on another, and connections that it makes itself, to its own port of
// lines and to one where nobody listens.
class ChaosServer {
 public:
  struct Options {
    uint64_t seed = 1;
    // Of an allocation on the worker's thread to fail, while faults are on.
    double no_memory_chance = 0;
  };
  explicit ChaosServer(const Options& options);
  // Stops the worker gracefully and waits for it.
  ~ChaosServer();
  ChaosServer(const ChaosServer&) = delete;
  ChaosServer& operator=(const ChaosServer&) = delete;

  ChaosPorts ports() const { return ports_; }
  void SetFaults(bool on);
  // False when connections are still open long after every timeout.
  bool AwaitNothingOpen();
  // On the worker's thread; returns when it has run.
  void InWorker(const std::function<void(Worker&, FaultRing&)>& task);
  const WorkerCounters& counters() const { return *counters_; }
  uint64_t outbound_count() const { return outbound_count_; }
  uint64_t allocations_failed() const { return allocations_failed_; }

 private:
  void DefineRoutes();
  void RunWorker(const std::function<void()>& ready);
  void MakeOutbound();

  const Options options_;
  Server server_;
  Lines lines_;
  Lines outbound_lines_;
  StreamOptions stream_;
  std::shared_ptr<const std::string> large_;
  std::string file_path_;
  size_t file_bytes_ = 0;
  ChaosPorts ports_;
  uint16_t dead_port_ = 0;
  int listening_fds_[2] = {-1, -1};
  std::unique_ptr<WorkerCounters> counters_ = std::make_unique<WorkerCounters>();
  Worker* worker_ = nullptr;
  FaultRing* ring_ = nullptr;
  bool outbound_wanted_ = false;  // worker's thread
  uint64_t outbound_count_ = 0;   // worker's thread
  uint64_t allocations_failed_ = 0;
  std::thread thread_;
};

}  // namespace ringmaster::faults
