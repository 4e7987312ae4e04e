#include "tests/e2e/programs/steady/event_loop.h"

#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace steady {

Nanoseconds MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

EventLoop::EventLoop() : epoll_fd_(epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_fd_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

EventLoop::~EventLoop() { close(epoll_fd_); }

int EventLoop::Watch(int fd, uint32_t events, EventHandler& handler) {
  epoll_event event = {.events = events, .data = {.ptr = &handler}};
  return epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

int EventLoop::ChangeWatch(int fd, uint32_t events, EventHandler& handler) {
  epoll_event event = {.events = events, .data = {.ptr = &handler}};
  return epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event) == 0 ? 0 : errno;
}

void EventLoop::Run() {
  while (!stopped_) {
    RunDueTimers();
    if (stopped_) return;
    timespec wait = {.tv_sec = 1, .tv_nsec = 0};
    if (!timers_.empty()) {
      const Nanoseconds left = std::max<Nanoseconds>(0, timers_.begin()->first - MonotonicNow());
      wait = {.tv_sec = left / kSecond, .tv_nsec = left % kSecond};
    }
    epoll_event events[256];
    const int count = epoll_pwait2(epoll_fd_, events, 256, &wait, nullptr);
    if (count < 0 && errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "epoll_pwait2");
    }
    for (int i = 0; i < count; ++i) {
      static_cast<EventHandler*>(events[i].data.ptr)->OnEvents(events[i].events);
    }
  }
}

void EventLoop::RunDueTimers() {
  const Nanoseconds now = MonotonicNow();
  while (!stopped_ && !timers_.empty() && timers_.begin()->first <= now) {
    Timer& timer = *timers_.begin()->second;
    timer.Cancel();
    timer.on_due_();
  }
}

void Timer::SetAt(Nanoseconds at) {
  Cancel();
  at_ = at;
  armed_ = true;
  loop_.timers_.emplace(at_, this);
}

void Timer::Cancel() {
  if (armed_) loop_.timers_.erase({at_, this});
  armed_ = false;
}

}  // namespace steady
