#pragma once

#include <liburing.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

// What a worker's ring may still do once it is enabled (IORING_REGISTER_RESTRICTIONS,
// io_uring_register(2)). An operation of the ring is carried out inside io_uring_enter, where no
// seccomp filter sees it: without this, whoever has taken over a worker opens files through the
// ring. Anything else is refused with -EACCES.

namespace ringmaster {

// The opcodes that KernelRing's Submit functions prepare, and no other. Whoever adds an operation
// there adds it here; ring_restrictions_test.cc reads kernel_ring.cc and finds it missing.
inline constexpr uint8_t kSubmittedOpcodes[] = {
    IORING_OP_ACCEPT,          // SubmitAcceptMultishot
    IORING_OP_RECV,            // SubmitRecvMultishot
    IORING_OP_RECVMSG,         // descriptors that another process hands over
    IORING_OP_READ,            // SubmitRead
    IORING_OP_SEND,            // SubmitSend, SubmitSendStuck
    IORING_OP_SENDMSG,         // SubmitSendMessage, SubmitSendMessageStuck
    IORING_OP_CONNECT,         // SubmitConnect
    IORING_OP_LINK_TIMEOUT,    // LinkTimeout
    IORING_OP_TIMEOUT_REMOVE,  // SubmitUpdateLinkedTimeout
    IORING_OP_POLL_ADD,        // readiness of descriptors that are no sockets
    IORING_OP_ASYNC_CANCEL,    // SubmitCancel, SubmitCancelFd
    IORING_OP_CLOSE,           // SubmitClose
};

inline constexpr uint8_t kSubmittedSqeFlags =
    IOSQE_IO_LINK | IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;

// Of io_uring_register(2), what happens after the ring is enabled. Without the first, liburing
// could not undo the registration of the ring's descriptor, which would keep the ring alive beyond
// io_uring_queue_exit, and with it the operations that write to our buffers.
inline constexpr uint8_t kLaterRegistrations[] = {IORING_UNREGISTER_RING_FDS};

constexpr bool IsSubmittedOpcode(uint8_t opcode) {
  return std::find(std::begin(kSubmittedOpcodes), std::end(kSubmittedOpcodes), opcode) !=
         std::end(kSubmittedOpcodes);
}

// Registers the lists above with a ring that was set up with IORING_SETUP_R_DISABLED and is not
// enabled yet; they bind from then on, for good. Returns 0 or -errno.
int RegisterRestrictions(io_uring& ring);
// Enables such a ring, restricted or not. Returns 0 or -errno.
int EnableRing(io_uring& ring);

}  // namespace ringmaster
