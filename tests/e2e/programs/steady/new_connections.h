#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/programs/steady/event_loop.h"
#include "tests/e2e/programs/steady/options.h"
#include "tests/e2e/programs/steady/report.h"

namespace steady {

class ShortConnection;

// New connections with one GET each, begun at their time whether the server keeps up or not. Every
// second one asks for `Connection: close` and waits for the server to close; the others are closed
// by us behind the answer.
class NewConnections {
 public:
  NewConnections(EventLoop& loop, const Options& options, Report& report);
  ~NewConnections();

  void Start(Nanoseconds at);
  // No more of them.
  void Stop() { timer_.Cancel(); }
  // Every one that was begun has its outcome.
  bool settled() const { return free_.size() == pool_.size(); }

 private:
  friend class ShortConnection;

  void OnDue();
  // Whether an answer's content is that of all others.
  bool IsExpected(std::string_view body);

  EventLoop& loop_;
  const Options& options_;
  Report& report_;
  Timer timer_;
  Nanoseconds began_at_ = 0;
  uint64_t begun_ = 0;
  bool has_expected_;
  std::string expected_;
  std::string close_request_;
  std::string keep_alive_request_;
  std::vector<std::unique_ptr<ShortConnection>> pool_;
  std::vector<ShortConnection*> free_;
};

}  // namespace steady
