#include "tests/engine/simulation/operation.h"

#include <xxhash.h>

namespace ringmaster::simulation {

namespace {

uint64_t Mix(uint64_t hash, const void* data, size_t bytes) {
  return XXH3_64bits_withSeed(data, bytes, hash);
}

}  // namespace

const char* OperationName(Operation::Kind kind) {
  switch (kind) {
    case Operation::Kind::kAccept:
      return "accept";
    case Operation::Kind::kReceive:
      return "receive";
    case Operation::Kind::kRead:
      return "read";
    case Operation::Kind::kSend:
      return "send";
    case Operation::Kind::kConnect:
      return "connect";
    case Operation::Kind::kUpdateTimeout:
      return "update of a linked timeout";
    case Operation::Kind::kCancel:
      return "cancel";
    case Operation::Kind::kCancelFd:
      return "cancel of a descriptor";
    case Operation::Kind::kClose:
      return "close";
  }
  return "?";
}

uint64_t ChecksumOfSend(const Operation& operation) {
  uint64_t hash = operation.bytes;
  if (operation.message != nullptr) {
    hash = Mix(hash, operation.message, sizeof(*operation.message));
    hash = Mix(hash, operation.message->msg_iov, operation.message->msg_iovlen * sizeof(iovec));
  }
  for (const iovec& piece : operation.pieces) hash = Mix(hash, piece.iov_base, piece.iov_len);
  return hash;
}

}  // namespace ringmaster::simulation
