#include "fmt/format.h"
#include "tests/engine/simulation/simulated_ring.h"

// The engine's side of the ring: every Submit... function, and the promises that can be checked
// there.

namespace ringmaster::simulation {

SimulatedRing::Descriptor* SimulatedRing::FindDescriptor(int fd) {
  const auto it = descriptors_.find(fd);
  return it == descriptors_.end() ? nullptr : it->second.get();
}

// Cancels, updates and closes are counted, not named: several may carry one user_data.
bool SimulatedRing::HasUniqueName(Operation::Kind kind) {
  return kind != Operation::Kind::kCancel && kind != Operation::Kind::kCancelFd &&
         kind != Operation::Kind::kUpdateTimeout && kind != Operation::Kind::kClose;
}

Operation& SimulatedRing::Prepare(Operation::Kind kind, UserData user_data, int fd) {
  auto owned = std::make_unique<Operation>();
  Operation& operation = *owned;
  operation.id = next_operation_id_++;
  operation.kind = kind;
  operation.user_data = user_data;
  operation.fd = fd;

  if (fd >= kFirstDescriptor || descriptors_.contains(fd)) {
    Descriptor* descriptor = FindDescriptor(fd);
    if (descriptor == nullptr || descriptor->closing) {
      world_.Fail(fmt::format("{} on descriptor {}, which is closed", OperationName(kind), fd));
    }
    if (kind == Operation::Kind::kClose && !descriptor->operations.empty()) {
      world_.Fail(fmt::format("close of descriptor {} with {} operations in flight on it", fd,
                              descriptor->operations.size()));
    }
    descriptor->operations.push_back(&operation);
    if (kind == Operation::Kind::kReceive && descriptor->receive_count++ > 0) {
      world_.Fail(fmt::format("a second receive in flight on descriptor {}", fd));
    }
    if (kind == Operation::Kind::kSend && descriptor->send_count++ > 0) {
      world_.Fail(fmt::format("a second send in flight on descriptor {}", fd));
    }
    descriptor->closing = kind == Operation::Kind::kClose;
  }
  if (HasUniqueName(kind) && (!named_.emplace(user_data.value, &operation).second ||
                              timeout_names_.contains(user_data.value))) {
    world_.Fail(
        fmt::format("user_data {:#x} of a {} is in use", user_data.value, OperationName(kind)));
  }
  operations_.emplace(operation.id, std::move(owned));
  submitted_.push_back(&operation);
  ++figures_.sqe_count;
  return operation;
}

void SimulatedRing::LinkTimeout(Operation& operation, const LinkedTimeout& timeout) {
  operation.timeout = timeout;
  if (timeout.deadline == kNever) return;
  ++figures_.sqe_count;
  if (named_.contains(timeout.user_data.value) ||
      !timeout_names_.emplace(timeout.user_data.value, &operation).second) {
    world_.Fail(
        fmt::format("user_data {:#x} of a linked timeout is in use", timeout.user_data.value));
  }
}

void SimulatedRing::SubmitAcceptMultishot(int listening_fd, UserData user_data) {
  const Descriptor* descriptor = FindDescriptor(listening_fd);
  if (descriptor != nullptr && descriptor->listener && descriptor->listener->accept != nullptr) {
    world_.Fail("a second accept on one listening socket");
  }
  Prepare(Operation::Kind::kAccept, user_data, listening_fd);
}

void SimulatedRing::SubmitRecvMultishot(int fd, UserData user_data, LinkedTimeout timeout) {
  LinkTimeout(Prepare(Operation::Kind::kReceive, user_data, fd), timeout);
}

void SimulatedRing::SubmitRead(int fd, void* buffer, size_t bytes, uint64_t offset,
                               UserData user_data) {
  Operation& operation = Prepare(Operation::Kind::kRead, user_data, fd);
  operation.buffer = buffer;
  operation.bytes = bytes;
  operation.offset = offset;
}

void SimulatedRing::PrepareSend(Operation& operation) {
  for (const iovec& piece : operation.pieces) operation.bytes += piece.iov_len;
  if (operation.bytes == 0) world_.Fail("a send of no bytes");
  operation.checksum = ChecksumOfSend(operation);
}

void SimulatedRing::SubmitSend(int fd, const void* data, size_t bytes, UserData user_data) {
  Operation& operation = Prepare(Operation::Kind::kSend, user_data, fd);
  operation.pieces.push_back({const_cast<void*>(data), bytes});
  PrepareSend(operation);
}

void SimulatedRing::SubmitSendMessage(int fd, const msghdr* message, UserData user_data) {
  Operation& operation = Prepare(Operation::Kind::kSend, user_data, fd);
  operation.message = message;
  operation.pieces.assign(message->msg_iov, message->msg_iov + message->msg_iovlen);
  PrepareSend(operation);
}

void SimulatedRing::SubmitSendStuck(int fd, const void* data, size_t bytes, UserData user_data,
                                    LinkedTimeout timeout) {
  SubmitSend(fd, data, bytes, user_data);
  submitted_.back()->stuck = true;
  LinkTimeout(*submitted_.back(), timeout);
}

void SimulatedRing::SubmitSendMessageStuck(int fd, const msghdr* message, UserData user_data,
                                           LinkedTimeout timeout) {
  SubmitSendMessage(fd, message, user_data);
  submitted_.back()->stuck = true;
  LinkTimeout(*submitted_.back(), timeout);
}

void SimulatedRing::SubmitConnect(int fd, const sockaddr* address, socklen_t address_bytes,
                                  UserData user_data, LinkedTimeout timeout) {
  if (fd < kFirstDescriptor && !descriptors_.contains(fd)) {
    auto descriptor = std::make_unique<Descriptor>();
    descriptor->real = true;
    descriptors_[fd] = std::move(descriptor);
    ++sockets_open_;
  }
  Operation& operation = Prepare(Operation::Kind::kConnect, user_data, fd);
  operation.address = address;
  operation.address_bytes = address_bytes;
  LinkTimeout(operation, timeout);
}

void SimulatedRing::SubmitUpdateLinkedTimeout(UserData timeout, TimePoint deadline,
                                              UserData user_data) {
  Operation& operation = Prepare(Operation::Kind::kUpdateTimeout, user_data, -1);
  operation.target = timeout;
  operation.deadline = deadline;
}

void SimulatedRing::SubmitCancel(UserData target, UserData user_data) {
  Prepare(Operation::Kind::kCancel, user_data, -1).target = target;
}

void SimulatedRing::SubmitCancelFd(int fd, UserData user_data) {
  // Counted in flight like any other, but not on the descriptor: the kernel holds no reference to
  // it, and its completion may come after the close.
  const Descriptor* descriptor = FindDescriptor(fd);
  if (descriptor == nullptr || descriptor->closing) {
    world_.Fail(fmt::format("cancel on descriptor {}, which is closed", fd));
  }
  Prepare(Operation::Kind::kCancelFd, user_data, -1).bytes = static_cast<size_t>(fd);
}

void SimulatedRing::SubmitClose(int fd, UserData user_data) {
  Prepare(Operation::Kind::kClose, user_data, fd);
}

PeerAddress SimulatedRing::PeerOf(int fd) {
  const Descriptor* descriptor = FindDescriptor(fd);
  if (descriptor == nullptr || descriptor->closing) {
    if (fd < kFirstDescriptor) return {};
    world_.Fail(fmt::format("getpeername of descriptor {}, which is closed", fd));
  }
  return descriptor->stream ? descriptor->stream->peer_address() : PeerAddress();
}

bool SimulatedRing::SendNow(int fd, std::string_view bytes) {
  Descriptor* descriptor = FindDescriptor(fd);
  if (descriptor == nullptr || descriptor->closing || !descriptor->stream) {
    world_.Fail(fmt::format("send on descriptor {}, which is no open connection", fd));
  }
  if (descriptor->send_count > 0) {
    world_.Fail(fmt::format("a second send in flight on descriptor {}", fd));
  }
  return descriptor->stream->Send(bytes) == static_cast<int>(bytes.size());
}

void SimulatedRing::Shutdown(int fd, int how) {
  Descriptor* descriptor = FindDescriptor(fd);
  if (descriptor == nullptr || descriptor->closing) {
    if (fd < kFirstDescriptor) return;
    world_.Fail(fmt::format("shutdown of descriptor {}, which is closed", fd));
  }
  if (!descriptor->stream) return;
  descriptor->stream->Shutdown(how);
  OnStreamChanged(*descriptor->stream);
}

bool SimulatedRing::HasInput(int fd) {
  const Descriptor* const descriptor = FindDescriptor(fd);
  if (descriptor == nullptr) world_.Fail(fmt::format("descriptor {} is closed", fd));
  return descriptor != nullptr && descriptor->stream != nullptr && descriptor->stream->HasInput();
}

Duration SimulatedRing::SinceLastData(int fd) {
  if (FindDescriptor(fd) == nullptr) world_.Fail(fmt::format("descriptor {} is closed", fd));
  const bool late = world_.random.Chance(world_.faults.first_bytes_late);
  return late ? world_.faults.first_bytes_late_by : Duration::zero();
}

void SimulatedRing::SetBacklog(int listening_fd, uint32_t backlog) {
  if (FindDescriptor(listening_fd) == nullptr || backlog == 0) {
    world_.Fail(fmt::format("a backlog of {} for descriptor {}", backlog, listening_fd));
  }
}

void SimulatedRing::DiscardUnsent(int fd) {
  Descriptor* descriptor = FindDescriptor(fd);
  if (descriptor == nullptr || descriptor->closing) {
    if (fd < kFirstDescriptor) return;
    world_.Fail(fmt::format("option of descriptor {}, which is closed", fd));
  }
  if (descriptor->stream) descriptor->stream->DiscardUnsent();
}

}  // namespace ringmaster::simulation
