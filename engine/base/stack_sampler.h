#pragma once

#include <pthread.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "absl/functional/any_invocable.h"
#include "engine/base/time.h"

namespace ringmaster {

// The stack of one thread, taken from another while it runs, sleeps or spins: a signal interrupts
// it, and the handler walks its frames into memory that is already there. The walk is libgcc's over
// .eh_frame, because frame pointers end at the first function of libc, and there a handler that
// blocks usually is. It takes no lock and allocates nothing (glibc 2.35 or newer: _dl_find_object).
//
//   StackSampler sampler(pthread_self());                    // the thread to be looked at
//   if (sampler.Take(std::chrono::milliseconds(200))) ...    // on another one
//
// The signal is SIGURG: nobody uses it, debuggers let it pass, and by default it does nothing.
// System calls of the interrupted thread are restarted (SA_RESTART), all but those that never are
// (signal(7): nanosleep, poll, epoll_wait, ...); they end early with EINTR, as with any signal.
class StackSampler {
 public:
  static constexpr size_t kFramesMax = 48;

  // `target` runs longer than this object. `on_target` is called on it with each sample, inside the
  // signal handler: async-signal-safe things only (signal-safety(7)).
  explicit StackSampler(pthread_t target, absl::AnyInvocable<void()> on_target = nullptr);
  StackSampler(const StackSampler&) = delete;
  StackSampler& operator=(const StackSampler&) = delete;

  // False when the target did not come to its handler within `patience`: it sleeps in the kernel
  // where no signal reaches it (state D), or is stopped.
  bool Take(Duration patience);

  // Of the last Take that succeeded, innermost first.
  size_t frame_count() const { return frame_count_; }
  // "ringmaster::Worker::Turn() (ringmaster+0x1a2b3)": the function's name if the executable has
  // its symbols, and where to look with addr2line.
  std::string Describe(size_t frame) const;

 private:
  static void OnSignal(int number, siginfo_t* info, void* context);
  void Walk();

  const pthread_t target_;
  absl::AnyInvocable<void()> on_target_;
  // A sample is due while they differ. A signal that comes late fills the next one.
  std::atomic<uint32_t> wanted_{0};
  std::atomic<uint32_t> taken_{0};
  size_t frame_count_ = 0;
  std::array<uintptr_t, kFramesMax> frames_{};
};

}  // namespace ringmaster
