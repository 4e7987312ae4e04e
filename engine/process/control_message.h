#pragma once

namespace ringmaster {

// What master and worker say to each other over the worker's control socket (a SOCK_SEQPACKET
// pair), one byte a packet. End of file seen by a worker: the master is gone; the worker stops
// gracefully.
enum class ControlMessage : char {
  kReady = 'R',    // worker -> master: listeners armed, on_worker_start has returned
  kStop = 'S',     // master -> worker: stop gracefully
  kStopNow = 'K',  // master -> worker: close everything and leave
};

}  // namespace ringmaster
