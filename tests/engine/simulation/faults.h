#pragma once

#include <chrono>

#include "engine/base/time.h"

namespace ringmaster::simulation {

// What goes wrong, how often: probabilities in [0, 1], drawn from the simulation's generator. The
// default is a kernel without surprises. All of it is behaviour that Linux shows, if rarely.
struct Faults {
  // A completion is overtaken by those of other operations (never by its own multishot stream).
  double reorder = 0;
  // A completion takes up to late_max to arrive. The kernel's side is over by then: a cancel finds
  // nothing, a linked timeout is gone.
  double late = 0;
  Duration late_max = std::chrono::milliseconds(2);

  // Multishot accept ends with one of EMFILE, ENFILE, ENOBUFS, ENOMEM; the connection stays queued.
  double accept_error = 0;
  // A multishot operation hands out a result and disarms itself (as when the completion queue is
  // full).
  double accept_ends = 0;
  double receive_ends = 0;

  // A receive brings less than is there.
  double receive_short = 0;
  // A receive finds no buffer, although there are some by the time its completion is read.
  double receive_starved = 0;

  // The 0 that stands for FIN carries a buffer, as older kernels do: it has to be returned.
  double end_with_buffer = 0;

  // A send takes less than there is room for; a send without waiting takes nothing.
  double send_short = 0;
  double send_would_block = 0;
  // A send of either kind ends with ENOBUFS or ENOMEM before it has taken anything.
  double send_no_memory = 0;

  // A cancellation answers -EALREADY; its target ends a little later, and may deliver before.
  double cancel_already = 0;
  // Moving a linked timeout answers -EALREADY: it is firing at this moment, and its operation ends.
  double update_already = 0;

  // SubmitAndWait returns before there are enough completions (a signal came in).
  double early_return = 0;

  // The first bytes of a connection had to wait for the worker: so long that it stops accepting for
  // a while, not so long that it refuses.
  double first_bytes_late = 0;
  Duration first_bytes_late_by = std::chrono::milliseconds(100);

  // A handler takes up to slow_handler_max for one request: what else has completed waits for the
  // next turn.
  double slow_handler = 0;
  Duration slow_handler_max = std::chrono::milliseconds(3);

  // A reset destroys bytes that were received and not yet read.
  double reset_loses_input = 0.5;

  static Faults None() { return Faults(); }
  static Faults Some() {
    Faults faults;
    faults.reorder = 0.3;
    faults.late = 0.05;
    faults.accept_error = 0.02;
    faults.accept_ends = 0.02;
    faults.receive_ends = 0.02;
    faults.receive_short = 0.2;
    faults.receive_starved = 0.02;
    faults.end_with_buffer = 0.05;
    faults.send_short = 0.1;
    faults.send_would_block = 0.05;
    faults.send_no_memory = 0.01;
    faults.cancel_already = 0.1;
    faults.early_return = 0.02;
    faults.first_bytes_late = 0.05;
    faults.slow_handler = 0.02;
    return faults;
  }
};

}  // namespace ringmaster::simulation
