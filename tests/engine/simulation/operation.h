#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "engine/ring/ring.h"

namespace ringmaster::simulation {

// One submitted operation, from the Submit... call until its final completion was read.
struct Operation {
  enum class Kind : uint8_t {
    kAccept,
    kReceive,
    kRead,
    kSend,
    kConnect,
    kUpdateTimeout,
    kCancel,
    kCancelFd,
    kClose,
  };

  uint64_t id = 0;
  Kind kind = Kind::kAccept;
  UserData user_data;
  int fd = -1;
  LinkedTimeout timeout;
  // The kernel has seen it / has posted its final completion (which may not have been read yet).
  bool started = false;
  bool over = false;
  // A cancel or an update answered -EALREADY: it ends by itself in a moment.
  bool ending = false;
  // No completion of this operation may arrive before this one: a multishot stream keeps its order.
  TimePoint last_arrival = 0;

  // kSend. The checksum covers the bytes, and for a message its header and its iovecs.
  bool stuck = false;
  const msghdr* message = nullptr;
  absl::InlinedVector<iovec, 2> pieces;
  size_t bytes = 0;  // kRead as well
  size_t sent = 0;
  uint64_t checksum = 0;

  // kRead
  void* buffer = nullptr;
  uint64_t offset = 0;

  // kConnect
  const sockaddr* address = nullptr;
  socklen_t address_bytes = 0;

  // kUpdateTimeout, kCancel
  UserData target;
  TimePoint deadline = kNever;
};

const char* OperationName(Operation::Kind kind);

// Over everything the kernel may still read for this send.
uint64_t ChecksumOfSend(const Operation& operation);

}  // namespace ringmaster::simulation
