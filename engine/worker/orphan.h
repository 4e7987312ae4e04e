#pragma once

#include <cstdint>

#include "engine/base/unique_fd.h"
#include "engine/worker/timer_queue.h"

namespace ringmaster {

class Worker;

// A worker's life without a master: it serves on, and waits at its door for one that adopts it or
// for somebody who stops it (process/orphan_hello.h), until orphan_timeout. One caller at a time.
class Orphan {
 public:
  // The environment has a door.
  explicit Orphan(Worker& worker);
  ~Orphan();
  Orphan(const Orphan&) = delete;
  Orphan& operator=(const Orphan&) = delete;

  // SIGTERM, which a worker with a master ignores.
  void OnSignal();
  // Somebody is at the door, or the caller has answered. False: it is no orphan any more, its
  // control socket is the caller's.
  bool OnReadable();
  // It stops: nobody can adopt it.
  void End();

 private:
  void ListenToSignal();
  void AwaitCaller();
  void AwaitCallerLater();
  void Cancel(uint32_t slot);
  void AwaitAnswer();
  void Receive();
  bool Greet();
  bool Hear();

  Worker& worker_;
  UniqueFd caller_;
  UniqueFd signal_;  // an eventfd
  bool ended_ = false;
  TimerId orphan_timer_ = 0;
  TimerId patience_timer_ = 0;  // with the caller, or between two tries to hear one
};

}  // namespace ringmaster
