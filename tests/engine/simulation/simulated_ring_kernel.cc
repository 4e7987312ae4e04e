#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "fmt/format.h"
#include "tests/engine/simulation/simulated_ring.h"

// The kernel's side of the ring: what an operation does once it was submitted.

namespace ringmaster::simulation {

namespace {
constexpr int kAcceptErrors[] = {-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM};
// A receive that is re-armed this often without any buffer coming home is a busy loop.
constexpr int kStarvedMax = 16;
constexpr int kWouldBlockMax = 8;
}  // namespace

void SimulatedRing::Start(Operation& operation) {
  operation.started = true;
  if (operation.kind == Operation::Kind::kSend && ChecksumOfSend(operation) != operation.checksum) {
    world_.Fail("memory of a send was changed before it was submitted");
  }
  Descriptor* descriptor = FindDescriptor(operation.fd);
  if (operation.timeout.deadline != kNever) {
    timeouts_.emplace(operation.timeout.deadline, operation.id);
  }
  switch (operation.kind) {
    case Operation::Kind::kAccept:
      if (descriptor == nullptr || !descriptor->listener) return Finish(operation, -EINVAL);
      descriptor->listener->accept = &operation;
      return ProgressAccept(*descriptor->listener);
    case Operation::Kind::kReceive:
      if (descriptor == nullptr || !descriptor->stream) return Finish(operation, -ENOTCONN);
      descriptor->stream->receive_operation_ = &operation;
      return ProgressReceive(operation);
    case Operation::Kind::kSend:
      if (descriptor == nullptr || !descriptor->stream) return Finish(operation, -ENOTCONN);
      if (operation.stuck) descriptor->stream->send_operation_ = &operation;
      return ProgressSend(operation);
    case Operation::Kind::kRead:
      if (descriptor != nullptr && descriptor->stream) {
        descriptor->stream->receive_operation_ = &operation;
        return ProgressReceive(operation);
      }
      if (!TryRealRead(operation)) real_reads_.push_back(&operation);
      return;
    case Operation::Kind::kConnect:
      return StartConnect(operation);
    case Operation::Kind::kUpdateTimeout:
      return StartUpdateTimeout(operation);
    case Operation::Kind::kCancel: {
      const auto it = named_.find(operation.target.value);
      const bool found = it != named_.end() && it->second->started && !it->second->over;
      return Finish(operation, found ? CancelOne(*it->second, true) : -ENOENT);
    }
    case Operation::Kind::kCancelFd: {
      int count = 0;
      // A close that was submitted in the same turn may have come first.
      if (Descriptor* named = FindDescriptor(static_cast<int>(operation.bytes))) {
        for (Operation* target : named->operations) {
          if (!target->started || target->over) continue;
          CancelOne(*target, false);
          ++count;
        }
      }
      return Finish(operation, count);
    }
    case Operation::Kind::kClose:
      return StartClose(operation);
  }
}

void SimulatedRing::ProgressAccept(Listener& listener) {
  while (listener.accept != nullptr && !listener.queue.empty()) {
    Operation& operation = *listener.accept;
    const bool full = sockets_open_ >= options_.descriptors_max;
    if (full || world_.random.Chance(world_.faults.accept_error)) {
      return Finish(operation, full ? -EMFILE : kAcceptErrors[world_.random.Below(4)]);
    }
    int fd = next_descriptor_;
    if (free_descriptors_.empty()) {
      ++next_descriptor_;
    } else {
      fd = free_descriptors_.top();
      free_descriptors_.pop();
    }
    auto descriptor = std::make_unique<Descriptor>();
    descriptor->stream = std::move(listener.queue.front());
    descriptor->stream->ring_ = this;
    listener.queue.pop_front();
    descriptors_[fd] = std::move(descriptor);
    ++sockets_open_;
    const bool ends = world_.random.Chance(world_.faults.accept_ends);
    Post(operation, fd, ends ? 0 : Completion::kMore, ends);
  }
}

void SimulatedRing::ProgressReceive(Operation& operation) {
  SimulatedStream& stream = *FindDescriptor(operation.fd)->stream;
  if (operation.kind == Operation::Kind::kRead) {
    const int result = stream.Receive({static_cast<char*>(operation.buffer), operation.bytes});
    if (result != -EAGAIN) Finish(operation, result);
    return;
  }
  Descriptor& descriptor = *FindDescriptor(operation.fd);
  // An armed receive asks for a buffer at once, also when the socket is empty (row 21).
  while (!operation.over) {
    if (!buffers_.available()) {
      if (descriptor.starved_at_publish != publish_count_) descriptor.starved_count = 0;
      descriptor.starved_at_publish = publish_count_;
      // What is on its way to the engine will come home by itself.
      if (buffers_.in_completions() == 0 && ++descriptor.starved_count > kStarvedMax) {
        world_.Fail("a receive is re-armed again and again while no buffer comes home");
      }
      return Finish(operation, -ENOBUFS);
    }
    if (!stream.HasInput()) {
      const int result = stream.Receive({});
      if (result == 0 && world_.random.Chance(world_.faults.end_with_buffer)) {
        return Post(operation, 0, uint32_t{buffers_.Select()} << 16 | Completion::kBuffer, true);
      }
      if (result != -EAGAIN) Finish(operation, result);
      return;
    }
    if (world_.random.Chance(world_.faults.receive_starved)) return Finish(operation, -ENOBUFS);
    const uint16_t buffer = buffers_.Select();
    std::span<char> memory = buffers_.Memory(buffer);
    if (world_.random.Chance(world_.faults.receive_short)) {
      memory = memory.first(world_.random.Between(1, std::min<size_t>(memory.size(), 40)));
    }
    const int bytes = stream.Receive(memory);
    const bool ends = world_.random.Chance(world_.faults.receive_ends);
    Post(operation, bytes,
         uint32_t{buffer} << 16 | Completion::kBuffer | (ends ? 0 : Completion::kMore), ends);
  }
}

int SimulatedRing::SendPieces(Operation& operation, size_t bytes_max) {
  SimulatedStream& stream = *FindDescriptor(operation.fd)->stream;
  size_t skip = operation.sent;
  for (const iovec& piece : operation.pieces) {
    if (skip >= piece.iov_len) {
      skip -= piece.iov_len;
      continue;
    }
    const std::string_view bytes(static_cast<const char*>(piece.iov_base) + skip,
                                 std::min(piece.iov_len - skip, bytes_max));
    if (bytes.empty()) return 0;
    const int result = stream.Send(bytes);
    if (result < 0) return result;
    operation.sent += static_cast<size_t>(result);
    bytes_max -= static_cast<size_t>(result);
    if (static_cast<size_t>(result) < bytes.size()) return -EAGAIN;
    skip = 0;
  }
  return 0;
}

void SimulatedRing::ProgressSend(Operation& operation) {
  if (operation.over) return;
  size_t bytes_max = SIZE_MAX;
  if (operation.sent == 0 && world_.random.Chance(world_.faults.send_no_memory)) {
    return Finish(operation, world_.random.Chance(0.5) ? -ENOBUFS : -ENOMEM);
  }
  if (!operation.stuck) {
    if (world_.random.Chance(world_.faults.send_would_block)) return Finish(operation, -EAGAIN);
    if (world_.random.Chance(world_.faults.send_short)) {
      bytes_max = world_.random.Between(1, operation.bytes);
    }
  }
  const int result = SendPieces(operation, bytes_max);
  int& would_block_count = FindDescriptor(operation.fd)->would_block_count;
  would_block_count = operation.stuck || operation.sent > 0 ? 0 : would_block_count + 1;
  if (would_block_count > kWouldBlockMax) {
    world_.Fail("a send is tried again and again instead of waiting for room");
  }
  // Without MSG_WAITALL any progress ends the wait.
  if (operation.stuck && operation.sent == 0 && result == -EAGAIN) return;
  Finish(operation, operation.sent > 0 ? static_cast<int>(operation.sent) : result);
}

void SimulatedRing::StartConnect(Operation& operation) {
  ConnectPlan plan{-ECONNREFUSED, 0, nullptr};
  if (connect_hook_) plan = connect_hook_(operation.address, operation.address_bytes);
  if (plan.delay == kNever) return;
  world_.After(Duration(plan.delay), [this, id = operation.id, plan = std::move(plan)] {
    const auto it = operations_.find(id);
    if (it == operations_.end() || it->second->over) return;
    if (plan.result == 0) {
      plan.stream->ring_ = this;
      FindDescriptor(it->second->fd)->stream = plan.stream;
    }
    Finish(*it->second, plan.result);
  });
}

void SimulatedRing::StartClose(Operation& operation) {
  const int fd = operation.fd;
  const auto it = descriptors_.find(fd);
  if (it == descriptors_.end() || it->second->real) {
    const int result = ::close(fd);
    if (it == descriptors_.end()) return Finish(operation, result == 0 ? 0 : -errno);
  }
  if (it->second->stream) it->second->stream->Close();
  if (it->second->listener) {
    for (const auto& stream : it->second->listener->queue) stream->ResetPeer();
  } else {
    --sockets_open_;
  }
  if (!it->second->real) free_descriptors_.push(fd);
  descriptors_.erase(it);
  // The descriptor may already be somebody else's when this arrives.
  operation.fd = -1;
  Finish(operation, 0);
}

void SimulatedRing::StartUpdateTimeout(Operation& operation) {
  const auto it = timeout_names_.find(operation.target.value);
  if (it == timeout_names_.end() || !it->second->started) return Finish(operation, -ENOENT);
  Operation& target = *it->second;
  if (target.ending || world_.random.Chance(world_.faults.update_already)) {
    EndSoon(target);
    return Finish(operation, -EALREADY);
  }
  timeouts_.erase({target.timeout.deadline, target.id});
  target.timeout.deadline = operation.deadline;
  timeouts_.emplace(target.timeout.deadline, target.id);
  Finish(operation, 0);
}

int SimulatedRing::CancelOne(Operation& target, bool may_refuse) {
  if (target.ending) return -EALREADY;
  if (may_refuse && world_.random.Chance(world_.faults.cancel_already)) {
    EndSoon(target);
    return -EALREADY;
  }
  End(target);
  return 0;
}

void SimulatedRing::EndSoon(Operation& target) {
  if (target.ending) return;
  target.ending = true;
  world_.After(std::chrono::microseconds(world_.random.Between(1, 100)), [this, id = target.id] {
    const auto it = operations_.find(id);
    if (it != operations_.end() && !it->second->over) End(*it->second);
  });
}

// Cancelled or timed out.
void SimulatedRing::End(Operation& operation) {
  std::erase(real_reads_, &operation);
  Finish(operation, -ECANCELED);
}

bool SimulatedRing::TryRealRead(Operation& operation) {
  pollfd poll = {operation.fd, POLLIN, 0};
  if (::poll(&poll, 1, 0) == 0) return false;
  if (operation.bytes == 0) {
    Finish(operation, POLLIN);
    return true;
  }
  ssize_t result = ::pread(operation.fd, operation.buffer, operation.bytes,
                           static_cast<off_t>(operation.offset));
  // Like the kernel's read operation: no position where there can be none.
  if (result < 0 && errno == ESPIPE) {
    result = ::read(operation.fd, operation.buffer, operation.bytes);
  }
  Finish(operation, result >= 0 ? static_cast<int>(result) : -errno);
  return true;
}

void SimulatedRing::FireTimeout() {
  const auto [deadline, id] = *timeouts_.begin();
  world_.AdvanceTo(deadline);
  End(*operations_.at(id));
}

void SimulatedRing::DisarmTimeout(Operation& operation) {
  const auto it = timeout_names_.find(operation.timeout.user_data.value);
  if (it == timeout_names_.end() || it->second != &operation) return;
  timeout_names_.erase(it);
  timeouts_.erase({operation.timeout.deadline, operation.id});
}

void SimulatedRing::Post(Operation& operation, int result, uint32_t flags, bool final) {
  const TimePoint arrival =
      std::max(operation.last_arrival, world_.now() + TimePoint{Delay().count()});
  operation.last_arrival = arrival;
  if (final) {
    operation.over = true;
    DisarmTimeout(operation);
    if (Descriptor* descriptor = FindDescriptor(operation.fd)) {
      if (descriptor->listener && operation.kind == Operation::Kind::kAccept) {
        descriptor->listener->accept = nullptr;
      }
      if (SimulatedStream* stream = descriptor->stream.get()) {
        if (stream->receive_operation_ == &operation) stream->receive_operation_ = nullptr;
        if (stream->send_operation_ == &operation) stream->send_operation_ = nullptr;
      }
    }
  }
  arrivals_.push({arrival, arrival_sequence_++, &operation,
                  Completion{operation.user_data, result, flags}, final});
}

Duration SimulatedRing::Delay() {
  uint64_t nanoseconds = 1000;
  if (world_.random.Chance(world_.faults.late)) {
    nanoseconds += world_.random.Below(static_cast<uint64_t>(world_.faults.late_max.count()));
  } else if (world_.random.Chance(world_.faults.reorder)) {
    nanoseconds += world_.random.Below(20'000);
  }
  return Duration(static_cast<int64_t>(nanoseconds));
}

}  // namespace ringmaster::simulation
