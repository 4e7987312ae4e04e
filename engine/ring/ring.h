#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/base/time.h"
#include "engine/connection/address.h"

// The narrow interface between the engine and the kernel. KernelRing (kernel_ring.h) stands behind
// it in a worker; SimulatedRing (tests/engine/simulation/simulated_ring.h) stands behind it in
// tests, with a seed.
//
// Everything a Submit... function points at (buffers, msghdr, sockaddr, iovec) belongs to the
// kernel from the call until the final completion of that operation. For a multishot operation the
// final completion is the one without kMore. Deadlines are copied at submission.
//
// Linked timeouts are submitted with IOSQE_CQE_SKIP_SUCCESS: they never complete by themselves
// (io_uring_enter(2)). An operation that ends with -ECANCELED and was
// not cancelled by us has timed out.
//
// One ring belongs to one thread. No function may be called from another.

namespace ringmaster {

// What an operation was, which connection slot it belongs to and which life of that slot. It comes
// back in the completion, so the hot path never hashes.
//
//   63      56 55            32 31             0
//  +----------+----------------+----------------+
//  | operation|   generation   |      slot      |
//  +----------+----------------+----------------+
struct UserData {
  uint64_t value = 0;

  static constexpr uint32_t kGenerationMask = (1u << 24) - 1;

  constexpr UserData() = default;
  constexpr explicit UserData(uint64_t raw) : value(raw) {}
  constexpr UserData(uint8_t operation, uint32_t generation, uint32_t slot)
      : value(uint64_t{operation} << 56 | uint64_t{generation & kGenerationMask} << 32 | slot) {}

  constexpr uint8_t operation() const { return static_cast<uint8_t>(value >> 56); }
  constexpr uint32_t generation() const {
    return static_cast<uint32_t>(value >> 32) & kGenerationMask;
  }
  constexpr uint32_t slot() const { return static_cast<uint32_t>(value); }

  constexpr bool operator==(const UserData&) const = default;
};

// One completion queue entry. `result` is what the system call would return: >= 0, or -errno.
struct Completion {
  UserData user_data;
  int32_t result = 0;
  uint32_t flags = 0;

  // Flag bits as in <liburing/io_uring.h>; repeated here so that only ring/ includes liburing.
  static constexpr uint32_t kBuffer = 1u << 0;  // IORING_CQE_F_BUFFER: buffer_id() is valid
  static constexpr uint32_t kMore = 1u << 1;    // IORING_CQE_F_MORE: the multishot stays armed

  bool has_buffer() const { return (flags & kBuffer) != 0; }
  bool more() const { return (flags & kMore) != 0; }
  uint16_t buffer_id() const { return static_cast<uint16_t>(flags >> 16); }
};

// A linked timeout: when `deadline` (CLOCK_MONOTONIC) passes before the operation completes, the
// operation is cancelled. `user_data` names the timeout for UpdateLinkedTimeout. kNever: no timeout
// is linked and the operation costs one SQE instead of two.
struct LinkedTimeout {
  TimePoint deadline = kNever;
  UserData user_data;
};

class Ring {
 public:
  virtual ~Ring() = default;

  // -- Operations. Each completes with its own `user_data`.
  // ----------------------------------------

  // Multishot accept on a listening socket: one completion per connection, result = the new
  // descriptor (SOCK_CLOEXEC). Ends (no kMore) with -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM,
  // -ECANCELED. Connections not accepted stay queued in the kernel.
  virtual void SubmitAcceptMultishot(int listening_fd, UserData user_data) = 0;

  // Multishot receive into the ring's provided buffers: one completion per piece, each with a
  // buffer that is ours until ReturnBuffer. result 0 = the peer's FIN, -ENOBUFS = no buffer was
  // free (bytes stay in the socket; re-arm only after buffers came home), -ECANCELED = cancelled or
  // timed out. The linked timeout is a total: data does not restart it.
  virtual void SubmitRecvMultishot(int fd, UserData user_data, LinkedTimeout timeout) = 0;

  // One-shot receive into the caller's memory: control channels and eventfds, not connections.
  virtual void SubmitRead(int fd, void* buffer, size_t bytes, uint64_t offset,
                          UserData user_data) = 0;

  // Once: result > 0 as soon as there is something to read on `fd`, or its other end is gone. For
  // sockets that carry descriptors, which a read would throw away.
  virtual void SubmitPoll(int fd, UserData user_data) = 0;

  // Sends without waiting (MSG_DONTWAIT | MSG_NOSIGNAL): result may be short, or -EAGAIN.
  virtual void SubmitSend(int fd, const void* data, size_t bytes, UserData user_data) = 0;
  virtual void SubmitSendMessage(int fd, const msghdr* message, UserData user_data) = 0;

  // For a remainder that did not fit: waits for room (POLL_FIRST | MSG_NOSIGNAL, no MSG_WAITALL)
  // until the linked timeout fires. result = bytes sent, short as soon as there was any progress,
  // so that the write timeout counts from the last progress; -ECANCELED when the timeout fired
  // without any.
  virtual void SubmitSendStuck(int fd, const void* data, size_t bytes, UserData user_data,
                               LinkedTimeout timeout) = 0;
  virtual void SubmitSendMessageStuck(int fd, const msghdr* message, UserData user_data,
                                      LinkedTimeout timeout) = 0;

  // result 0 = connected, -ECANCELED = the linked timeout fired, else -errno.
  virtual void SubmitConnect(int fd, const sockaddr* address, socklen_t address_bytes,
                             UserData user_data, LinkedTimeout timeout) = 0;

  // Moves the deadline of an armed linked timeout, nearer or farther. Completes with 0, or -ENOENT
  // when it has fired or its operation has completed meanwhile.
  virtual void SubmitUpdateLinkedTimeout(UserData timeout, TimePoint deadline,
                                         UserData user_data) = 0;

  // Asks for cancellation of one operation (by its user_data) or of every one on `fd`. The cancel
  // completes with 0 or a count, -ENOENT, or -EALREADY; the targets complete on their own, with
  // -ECANCELED or with their result: count both, rely on no order.
  virtual void SubmitCancel(UserData target, UserData user_data) = 0;
  virtual void SubmitCancelFd(int fd, UserData user_data) = 0;

  virtual void SubmitClose(int fd, UserData user_data) = 0;

  // -- Not operations: immediate, cheap system calls, here so that a simulation sees them.
  // ----------

  // shutdown(2) with SHUT_WR or SHUT_RDWR. Errors are ignored: the peer may be gone.
  virtual void Shutdown(int fd, int how) = 0;
  // getpeername(2); unspecified when the peer is gone. Async-signal-safe.
  virtual PeerAddress PeerOf(int fd) = 0;
  // One send(2) that does not wait. False when it did not take all of `bytes`.
  virtual bool SendNow(int fd, std::string_view bytes) = 0;

  // The coming close of `fd` throws away what the kernel has not sent yet and resets the connection
  // (SO_LINGER with no time), instead of keeping it until the peer takes it.
  virtual void DiscardUnsent(int fd) = 0;

  // Bytes have arrived that no receive has taken yet (ioctl(2), FIONREAD).
  virtual bool HasInput(int fd) = 0;

  // How long ago the last bytes that arrived on the socket did (TCP_INFO, tcpi_last_data_recv, in
  // milliseconds); zero where the kernel does not say, as for a unix socket.
  virtual Duration SinceLastData(int fd) = 0;

  // listen(2) on a socket that listens already: how many connections may wait in its queue from now
  // on. Those that do, stay.
  virtual void SetBacklog(int listening_fd, uint32_t backlog) = 0;

  // -- Provided buffers
  // ------------------------------------------------------------------------------

  // The bytes of the buffer that `completion` carries; writable, ours until ReturnBuffer(id).
  virtual std::span<char> BufferOf(const Completion& completion) = 0;
  // Gives a buffer back to the kernel. It becomes visible to the kernel at the next SubmitAndWait.
  virtual void ReturnBuffer(uint16_t buffer_id) = 0;
  virtual uint32_t BuffersAtHome() const = 0;
  virtual uint32_t BufferCount() const = 0;

  // -- The turn
  // --------------------------------------------------------------------------------------

  struct Wait {
    uint32_t completions_min = 1;  // return once this many are there ...
    uint32_t batch_microseconds =
        0;                        // ... or one is, after this long (kernel >= 6.12, else ignored)
    TimePoint deadline = kNever;  // ... or at this point in time, with none
  };
  // Submits everything prepared and waits: one system call. completions_min 0 does not wait.
  virtual void SubmitAndWait(const Wait& wait) = 0;

  // Copies up to out.size() completions and returns how many; 0 = the queue is empty. Consumed
  // entries are released to the kernel.
  virtual size_t Reap(std::span<Completion> out) = 0;

  // CLOCK_MONOTONIC, or the simulation's clock.
  virtual TimePoint Now() const = 0;

  // The kernel has taken every operation prepared so far. False after a SubmitAndWait for which it
  // had no memory: the rest is submitted by the next.
  virtual bool AllSubmitted() const = 0;

  // Figures for the counters: system calls made, SQEs submitted, CQ overflows seen, submissions
  // ahead of the turn's end because the queue was full.
  struct Figures {
    uint64_t enter_count = 0;
    uint64_t sqe_count = 0;
    uint64_t cq_overflow_count = 0;
    uint64_t sq_full_count = 0;
  };
  virtual Figures figures() const = 0;
};

}  // namespace ringmaster
