#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <utility>

// One thread's epoll loop with timers: everything the steady clients do happens in it.

namespace steady {

// CLOCK_MONOTONIC. A point in time or a duration, as the name says.
using Nanoseconds = int64_t;

inline constexpr Nanoseconds kMillisecond = 1'000'000;
inline constexpr Nanoseconds kSecond = 1'000 * kMillisecond;

// Every schedule lies on this grid, so that one wake-up serves all that is due in it: with the
// default load that is five sends, and without it the client would spend its time waking up.
inline constexpr Nanoseconds kTick = 1 * kMillisecond;

Nanoseconds MonotonicNow();

constexpr Nanoseconds AlignToTick(Nanoseconds at) { return (at + kTick - 1) / kTick * kTick; }

// What a descriptor's events are given to. It may be called once more for a descriptor that was
// closed in the same turn; handlers look at the socket, not at `events`, to learn what is so.
class EventHandler {
 public:
  virtual void OnEvents(uint32_t events) = 0;

 protected:
  ~EventHandler() = default;
};

class Timer;

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // epoll_ctl(2); a close of `fd` ends the watch. Returns 0 or the errno.
  int Watch(int fd, uint32_t events, EventHandler& handler);
  int ChangeWatch(int fd, uint32_t events, EventHandler& handler);

  // Until Stop().
  void Run();
  void Stop() { stopped_ = true; }

 private:
  friend class Timer;
  void RunDueTimers();

  int epoll_fd_;
  bool stopped_ = false;
  std::set<std::pair<Nanoseconds, Timer*>> timers_;
};

// Calls `on_due` once at the point in time it was set to, or later.
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> on_due) : loop_(loop), on_due_(std::move(on_due)) {}
  ~Timer() { Cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void SetAt(Nanoseconds at);
  void Cancel();
  bool armed() const { return armed_; }

 private:
  friend class EventLoop;

  EventLoop& loop_;
  std::function<void()> on_due_;
  Nanoseconds at_ = 0;
  bool armed_ = false;
};

}  // namespace steady
