#pragma once

#include <functional>
#include <string_view>

#include "tests/e2e/programs/steady/event_loop.h"

namespace steady {

// Who may ask for the end of a run: SIGTERM and SIGINT and, when wanted, the end of stdin.
class EndRequest {
 public:
  EndRequest(EventLoop& loop, std::function<void(std::string_view why)> on_request);

  // Blocks the signals from now on. Returns 0 or an errno.
  int WatchSignals();
  // EPERM when stdin is a file or /dev/null, whose end epoll cannot wait for.
  int WatchStdin();

 private:
  class Source final : public EventHandler {
   public:
    explicit Source(std::function<void()> on_readable) : on_readable_(std::move(on_readable)) {}
    void OnEvents(uint32_t) override { on_readable_(); }

   private:
    std::function<void()> on_readable_;
  };

  void OnSignal();
  void OnStdin();

  EventLoop& loop_;
  std::function<void(std::string_view)> on_request_;
  int signal_fd_ = -1;
  Source signals_;
  Source stdin_;
};

}  // namespace steady
