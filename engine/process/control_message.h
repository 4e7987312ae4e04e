#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

namespace ringmaster {

// What master and worker say to each other over the worker's control socket (a SOCK_SEQPACKET
// pair). End of file seen by a worker: the master is gone; the worker stops gracefully, or
// serves on (orphan_hello.h).
enum class ControlMessage : char {
  kReady = 'R',    // worker -> master: listeners in hand, on_worker_start has returned
  kStuck = 'B',    // worker's watchdog -> master: a handler holds the loop, replace this worker
  kStop = 'S',     // master -> worker: stop gracefully
  kStopNow = 'K',  // master -> worker: close everything and leave

  // The rest is about reloads; one worker takes the place of another (engine/handoff).
  kServe = 'V',  // master -> worker: accept connections
  // master -> both: in your inbox is the end of a socket whose other end the other one has; give
  // it your connections and accept no more; take over what it gives.
  kHandOver = 'H',
  kAdopt = 'A',
  kHandedOver = 'h',  // old worker -> master: done; argument: how many it gave
  // old worker -> master: the other end is gone, perhaps with its process; argument: how many it
  // gave before.
  kHandoffBroken = 'b',
  // master -> worker: accept connections again, and give no more away; who took yours may be dead.
  kResume = 'U',
  // master -> worker: it is. Serve; what it had not touched is yours.
  kTakeBack = 'T',
  kRetire = 'D',  // master -> worker: what is left may come to its end; then leave
  kTakeIn = 'I',  // new master -> orphan: you are mine now (orphan_hello.h)
  kReload = 'r',  // worker -> master: an application asks for a reload (Worker::Reload)

  // master -> worker: write your connections into the report (process/connection_report.h);
  // argument: the number of the request, given back in kListed.
  kList = 'L',
  kListed = 'l',  // worker -> master: they are there
  // master -> worker: close the connection with the id in the argument; given back in the answer.
  kKill = 'X',
  kKilled = 'x',        // worker -> master
  kNoConnection = 'n',  // worker -> master: there is none
};

// One message: its letter, and behind it the argument of those that have one.
struct ControlPacket {
  static constexpr size_t kBytesMax = 1 + sizeof(uint64_t);

  ControlMessage message{};
  uint64_t argument = 0;

  // False: the other side is gone, or has read nothing for hundreds of messages. Any thread.
  bool Send(int fd) const {
    char bytes[kBytesMax];
    bytes[0] = static_cast<char>(message);
    std::memcpy(bytes + 1, &argument, sizeof(argument));
    return ::send(fd, bytes, kBytesMax, MSG_DONTWAIT | MSG_NOSIGNAL) ==
           static_cast<ssize_t>(kBytesMax);
  }
  // nullopt: `byte_count` is 0.
  static std::optional<ControlPacket> Read(const char* bytes, size_t byte_count) {
    if (byte_count == 0) return std::nullopt;
    ControlPacket packet{static_cast<ControlMessage>(bytes[0]), 0};
    if (byte_count == kBytesMax) std::memcpy(&packet.argument, bytes + 1, sizeof(packet.argument));
    return packet;
  }
};

}  // namespace ringmaster
