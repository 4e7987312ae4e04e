#include "tests/engine/simulation/simulated_ring.h"

#include <algorithm>

#include "fmt/format.h"

namespace ringmaster::simulation {

namespace {
// Far more than peers do while an engine that works has nothing to hear of them.
constexpr uint64_t kEventsPerWaitMax = 3'000'000;
}  // namespace

SimulatedRing::SimulatedRing(World& world, const Options& options)
    : world_(world),
      options_(options),
      buffers_(world, options.buffer_count, options.buffer_bytes) {}

SimulatedRing::~SimulatedRing() {
  // Peers may outlive the ring in a test; they must not call it any more.
  for (auto& [fd, descriptor] : descriptors_) {
    if (descriptor->stream) descriptor->stream->ring_ = nullptr;
  }
}

int SimulatedRing::AddListener(size_t backlog) {
  const int fd = next_descriptor_++;
  auto descriptor = std::make_unique<Descriptor>();
  descriptor->listener = std::make_unique<Listener>();
  descriptor->listener->backlog = backlog;
  descriptors_[fd] = std::move(descriptor);
  return fd;
}

std::shared_ptr<SimulatedStream> SimulatedRing::ConnectPeer(int listening_fd,
                                                            const SimulatedStream::Room& room,
                                                            const PeerAddress& address) {
  Descriptor* descriptor = FindDescriptor(listening_fd);
  if (descriptor == nullptr || !descriptor->listener) return nullptr;
  Listener& listener = *descriptor->listener;
  if (listener.queue.size() >= listener.backlog) return nullptr;
  auto stream = std::make_shared<SimulatedStream>(world_, room, address);
  listener.queue.push_back(stream);
  ProgressAccept(listener);
  return stream;
}

size_t SimulatedRing::BacklogOf(int listening_fd) const {
  const auto it = descriptors_.find(listening_fd);
  return it == descriptors_.end() || !it->second->listener ? 0 : it->second->listener->queue.size();
}

std::string SimulatedRing::Leftovers() const {
  std::string text;
  for (const auto& [id, operation] : operations_) {
    // An eventfd or a control channel is read until the ring itself goes.
    if (operation->kind == Operation::Kind::kRead && operation->fd < kFirstDescriptor) continue;
    text += fmt::format("{} on descriptor {} is still in flight (user_data {:#x})\n",
                        OperationName(operation->kind), operation->fd, operation->user_data.value);
  }
  for (const auto& [fd, descriptor] : descriptors_) {
    if (!descriptor->listener) text += fmt::format("socket {} was never closed\n", fd);
  }
  if (buffers_.idle() != buffers_.count()) {
    text += fmt::format("{} of {} buffers were never returned\n",
                        buffers_.count() - buffers_.idle(), buffers_.count());
  }
  return text;
}

void SimulatedRing::OnStreamChanged(SimulatedStream& stream) {
  // Chance decides who hears of it first: the kernel promises no order between the two directions.
  const bool send_first = world_.random.Chance(0.5);
  if (send_first && stream.send_operation_ != nullptr) ProgressSend(*stream.send_operation_);
  // Room to send is no reason to look for input: without a free buffer that look would end the
  // receive.
  if (stream.receive_operation_ != nullptr && stream.Readable()) {
    ProgressReceive(*stream.receive_operation_);
  }
  if (!send_first && stream.send_operation_ != nullptr) ProgressSend(*stream.send_operation_);
}

std::span<char> SimulatedRing::BufferOf(const Completion& completion) {
  if (!completion.has_buffer()) world_.Fail("BufferOf a completion that carries no buffer");
  buffers_.Open(completion.buffer_id());
  return buffers_.Memory(completion.buffer_id()).first(static_cast<size_t>(completion.result));
}

void SimulatedRing::SubmitAndWait(const Wait& wait) {
  if (turn_hook_) turn_hook_();
  ++figures_.enter_count;
  world_.AdvanceTo(world_.now() + static_cast<TimePoint>(world_.random.Between(200, 3000)));
  if (buffers_.Publish()) ++publish_count_;
  std::vector<Operation*> submitted;
  submitted.swap(submitted_);
  for (Operation* operation : submitted) Start(*operation);
  PollRealReads();
  RunEverythingDue();

  if (ready_.size() >= wait.completions_min) return;
  if (world_.random.Chance(world_.faults.early_return)) return;
  TimePoint limit = wait.deadline;
  bool batching = false;
  uint64_t event_count = 0;
  while (ready_.size() < wait.completions_min) {
    if (wait.batch_microseconds != 0 && !ready_.empty() && !batching) {
      batching = true;
      limit = std::min(limit, world_.now() + TimePoint{wait.batch_microseconds} * 1000);
    }
    if (!RunNext(limit)) return;
    if (++event_count == kEventsPerWaitMax) {
      world_.Fail("the peers go on and on, and nothing completes:\n" + Leftovers());
    }
  }
}

bool SimulatedRing::RunNext(TimePoint limit) {
  const TimePoint arrival = arrivals_.empty() ? kNever : arrivals_.top().time;
  const TimePoint timeout = timeouts_.empty() ? kNever : timeouts_.begin()->first;
  const TimePoint event = world_.next_event_at();
  const TimePoint next = std::min({arrival, timeout, event});
  if (next > limit || next == kNever) {
    if (limit == kNever) {
      world_.Fail("the engine waits for completions, and nothing can ever complete:\n" +
                  Leftovers());
    }
    world_.AdvanceTo(limit);
    return false;
  }
  if (next == arrival) {
    world_.AdvanceTo(arrival);
    ready_.push_back(arrivals_.top());
    arrivals_.pop();
  } else if (next == event) {
    world_.RunNextEvent();
    if (poll_due_) PollRealReads();
  } else {
    FireTimeout();
  }
  return true;
}

void SimulatedRing::RunEverythingDue() {
  while (RunNext(world_.now())) {
  }
}

void SimulatedRing::PollRealReads() {
  poll_due_ = false;
  for (size_t i = 0; i < real_reads_.size();) {
    if (TryRealRead(*real_reads_[i])) {
      real_reads_.erase(real_reads_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

size_t SimulatedRing::Reap(std::span<Completion> out) {
  size_t count = 0;
  while (count < out.size() && !ready_.empty()) {
    const Arrival arrival = ready_.front();
    ready_.pop_front();
    out[count++] = arrival.completion;
    if (arrival.completion.has_buffer()) buffers_.Lease(arrival.completion.buffer_id());
    if (!arrival.final) continue;

    Operation& operation = *arrival.operation;
    if (operation.kind == Operation::Kind::kSend &&
        ChecksumOfSend(operation) != operation.checksum) {
      world_.Fail("memory of a send was changed before its completion was read");
    }
    if (Descriptor* descriptor = FindDescriptor(operation.fd)) {
      auto& operations = descriptor->operations;
      operations.erase(std::find(operations.begin(), operations.end(), &operation));
      descriptor->receive_count -= operation.kind == Operation::Kind::kReceive;
      descriptor->send_count -= operation.kind == Operation::Kind::kSend;
    }
    if (HasUniqueName(operation.kind)) named_.erase(operation.user_data.value);
    operations_.erase(operation.id);
  }
  return count;
}

}  // namespace ringmaster::simulation
