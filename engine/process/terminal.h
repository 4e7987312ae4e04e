#pragma once

#include <termios.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/time.h"
#include "engine/base/unique_fd.h"
#include "engine/stats/watch_view.h"

namespace ringmaster {

// The terminal as a full-screen view: the alternate screen without a cursor, keys without Enter and
// without echo. Whatever was there before comes back with the destructor, on Ctrl-Z, and on every
// signal that ends a program, since those arrive as events. One at a time in a process.
class Terminal {
 public:
  enum class Event {
    kTimeout,
    kQuit,    // q, Ctrl-C, or a signal that ends programs
    kRedraw,  // the size has changed, or the program was continued after Ctrl-Z
    kRefresh  // the space bar: new figures now
  };

  // Errors: kFailedPrecondition when the standard output is no terminal that can do this.
  static absl::StatusOr<std::unique_ptr<Terminal>> Open();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  ScreenSize size() const;
  // Replaces what is shown. Lines beyond the size would scroll.
  void Show(const std::vector<ScreenLine>& lines);
  // The next event, or kTimeout at `deadline` (CLOCK_MONOTONIC).
  Event Wait(TimePoint deadline);
  // The signal that caused kQuit; 0 for a key.
  int quit_signal() const { return quit_signal_; }

 private:
  Terminal() = default;
  void Enter();
  void Leave();
  Event OnSignals();
  Event OnKeys();

  bool has_keys_ = false;
  bool entered_ = false;
  termios before_ = {};
  UniqueFd signals_;
  sigset_t signals_before_ = {};
  int quit_signal_ = 0;
};

}  // namespace ringmaster
