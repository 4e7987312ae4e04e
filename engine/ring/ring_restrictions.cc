#include "engine/ring/ring_restrictions.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace ringmaster {
namespace {

io_uring_restriction Restriction(uint16_t kind, uint8_t value) {
  io_uring_restriction restriction = {};
  restriction.opcode = kind;
  restriction.sqe_op = value;  // a union with register_op and sqe_flags
  return restriction;
}

// liburing 2.3 declares functions for both registrations and its shared library has neither.
int Register(io_uring& ring, unsigned opcode, const void* argument, size_t count) {
  const long result = ::syscall(SYS_io_uring_register, ring.ring_fd, opcode, argument, count);
  return result < 0 ? -errno : 0;
}

}  // namespace

int RegisterRestrictions(io_uring& ring) {
  std::array<io_uring_restriction,
             std::size(kSubmittedOpcodes) + std::size(kLaterRegistrations) + 1>
      restrictions;
  auto next = restrictions.begin();
  for (const uint8_t opcode : kSubmittedOpcodes) {
    *next++ = Restriction(IORING_RESTRICTION_SQE_OP, opcode);
  }
  for (const uint8_t opcode : kLaterRegistrations) {
    *next++ = Restriction(IORING_RESTRICTION_REGISTER_OP, opcode);
  }
  *next = Restriction(IORING_RESTRICTION_SQE_FLAGS_ALLOWED, kSubmittedSqeFlags);
  return Register(ring, IORING_REGISTER_RESTRICTIONS, restrictions.data(), restrictions.size());
}

int EnableRing(io_uring& ring) { return Register(ring, IORING_REGISTER_ENABLE_RINGS, nullptr, 0); }

}  // namespace ringmaster
