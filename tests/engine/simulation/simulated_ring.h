#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/ring/ring.h"
#include "tests/engine/simulation/operation.h"
#include "tests/engine/simulation/simulated_buffers.h"
#include "tests/engine/simulation/simulated_stream.h"
#include "tests/engine/simulation/world.h"

namespace ringmaster::simulation {

// A kernel without a kernel: stands behind Ring, hands out numbers as descriptors and holds the
// engine to what it promised. A broken promise ends the process (World::Fail) with the seed that
// shows it again.
//
//   World world(seed, Faults::Some());
//   SimulatedRing ring(world, {});
//   int listener = ring.AddListener(128);
//   auto peer = ring.ConnectPeer(listener, {});   // the engine's accept completes
//   peer->PeerSend("hello");                      // its multishot receive completes
//
// Promises that are checked: user_data is unique among the operations that can be named; one
// receive and one send in flight per socket; what a send points at does not change until its
// completion was read; a buffer is returned once and not touched afterwards; a descriptor is closed
// once, when nothing is in flight on it, and not used afterwards; a starved receive is not re-armed
// in a busy loop.
//
// Descriptors below kFirstDescriptor are real ones (an eventfd or a socket that the engine opened
// itself, a file): reads and closes of them are real, a connect makes them part of the simulation.
class SimulatedRing final : public Ring {
 public:
  static constexpr int kFirstDescriptor = 1 << 20;

  struct Options {
    uint32_t buffer_count = 16;
    uint32_t buffer_bytes = 256;
    // More accepted sockets than this: -EMFILE.
    size_t descriptors_max = SIZE_MAX;
  };

  SimulatedRing(World& world, const Options& options);
  ~SimulatedRing() override;

  // -- The test's side
  // -------------------------------------------------------------------------------

  int AddListener(size_t backlog);
  // A peer connects. nullptr when the backlog is full or the listening socket is closed.
  std::shared_ptr<SimulatedStream> ConnectPeer(int listening_fd, const SimulatedStream::Room& room,
                                               const PeerAddress& address = {});
  size_t BacklogOf(int listening_fd) const;

  // Decides what becomes of an outbound connect: it ends with `result` after `delay` (kNever: not
  // by itself), and when that is 0 `stream` is the connection.
  struct ConnectPlan {
    int result = 0;
    TimePoint delay = 0;
    std::shared_ptr<SimulatedStream> stream;
  };
  void set_connect_hook(std::function<ConnectPlan(const sockaddr*, socklen_t)> hook) {
    connect_hook_ = std::move(hook);
  }
  // Called at the start of every turn of the engine: the place for a test's own invariants.
  void set_turn_hook(std::function<void()> hook) { turn_hook_ = std::move(hook); }
  // A peer's event has just written to a real descriptor that the engine reads. What the engine
  // itself writes in a turn is seen without a word.
  void ExpectRealInput() { poll_due_ = true; }
  void set_descriptors_max(size_t descriptors_max) { options_.descriptors_max = descriptors_max; }

  size_t sockets_open() const { return sockets_open_; }
  size_t operations_in_flight() const { return operations_.size(); }
  // What is not as it must be after everything has ended, one line each; empty when all is well.
  std::string Leftovers() const;

  // For SimulatedStream: something happened on the peer's side.
  void OnStreamChanged(SimulatedStream& stream);

  // -- Ring
  // --------------------------------------------------------------------------------------------

  void SubmitAcceptMultishot(int listening_fd, UserData user_data) override;
  void SubmitRecvMultishot(int fd, UserData user_data, LinkedTimeout timeout) override;
  void SubmitRead(int fd, void* buffer, size_t bytes, uint64_t offset, UserData user_data) override;
  // Of a real descriptor: a read of nothing.
  void SubmitPoll(int fd, UserData user_data) override { SubmitRead(fd, nullptr, 0, 0, user_data); }
  void SubmitSend(int fd, const void* data, size_t bytes, UserData user_data) override;
  void SubmitSendMessage(int fd, const msghdr* message, UserData user_data) override;
  void SubmitSendStuck(int fd, const void* data, size_t bytes, UserData user_data,
                       LinkedTimeout timeout) override;
  void SubmitSendMessageStuck(int fd, const msghdr* message, UserData user_data,
                              LinkedTimeout timeout) override;
  void SubmitConnect(int fd, const sockaddr* address, socklen_t address_bytes, UserData user_data,
                     LinkedTimeout timeout) override;
  void SubmitUpdateLinkedTimeout(UserData timeout, TimePoint deadline, UserData user_data) override;
  void SubmitCancel(UserData target, UserData user_data) override;
  void SubmitCancelFd(int fd, UserData user_data) override;
  void SubmitClose(int fd, UserData user_data) override;
  void Shutdown(int fd, int how) override;
  PeerAddress PeerOf(int fd) override;
  bool SendNow(int fd, std::string_view bytes) override;
  void DiscardUnsent(int fd) override;
  bool HasInput(int fd) override;
  // Drawn: see Faults::first_bytes_late.
  Duration SinceLastData(int fd) override;
  void SetBacklog(int listening_fd, uint32_t backlog) override;
  std::span<char> BufferOf(const Completion& completion) override;
  void ReturnBuffer(uint16_t buffer_id) override { buffers_.Return(buffer_id); }
  uint32_t BuffersAtHome() const override { return buffers_.at_home(); }
  uint32_t BufferCount() const override { return buffers_.count(); }
  void SubmitAndWait(const Wait& wait) override;
  size_t Reap(std::span<Completion> out) override;
  TimePoint Now() const override { return world_.now(); }
  bool AllSubmitted() const override { return submitted_.empty(); }
  Figures figures() const override { return figures_; }

 private:
  struct Listener {
    size_t backlog = 0;
    std::deque<std::shared_ptr<SimulatedStream>> queue;
    Operation* accept = nullptr;
  };
  struct Descriptor {
    std::shared_ptr<SimulatedStream> stream;
    std::unique_ptr<Listener> listener;
    bool real = false;
    bool closing = false;
    // Operations whose final completion was not read yet.
    absl::InlinedVector<Operation*, 3> operations;
    int receive_count = 0;
    int send_count = 0;
    // For the busy-loop check: receives that found no buffer since one was returned.
    uint64_t starved_at_publish = UINT64_MAX;
    int starved_count = 0;
    // The same for sends: -EAGAIN in a row, without one that waits for room.
    int would_block_count = 0;
  };
  struct Arrival {
    TimePoint time;
    uint64_t sequence;
    Operation* operation;
    Completion completion;
    bool final;
    bool operator>(const Arrival& other) const {
      return time != other.time ? time > other.time : sequence > other.sequence;
    }
  };

  // Submission (simulated_ring_submit.cc).
  Operation& Prepare(Operation::Kind kind, UserData user_data, int fd);
  void LinkTimeout(Operation& operation, const LinkedTimeout& timeout);
  void PrepareSend(Operation& operation);
  Descriptor* FindDescriptor(int fd);
  static bool HasUniqueName(Operation::Kind kind);

  // What the kernel does (simulated_ring_kernel.cc).
  void Start(Operation& operation);
  void ProgressAccept(Listener& listener);
  void ProgressReceive(Operation& operation);
  void ProgressSend(Operation& operation);
  int SendPieces(Operation& operation, size_t bytes_max);
  void StartConnect(Operation& operation);
  void StartClose(Operation& operation);
  void StartUpdateTimeout(Operation& operation);
  int CancelOne(Operation& target, bool may_refuse);
  void EndSoon(Operation& operation);
  void End(Operation& operation);
  bool TryRealRead(Operation& operation);
  void FireTimeout();
  void DisarmTimeout(Operation& operation);
  void Post(Operation& operation, int result, uint32_t flags, bool final);
  void Finish(Operation& operation, int result) { Post(operation, result, 0, true); }
  Duration Delay();

  // The turn (simulated_ring.cc).
  void RunEverythingDue();
  bool RunNext(TimePoint limit);
  void PollRealReads();

  World& world_;
  Options options_;
  SimulatedBuffers buffers_;
  std::function<ConnectPlan(const sockaddr*, socklen_t)> connect_hook_;
  std::function<void()> turn_hook_;

  absl::flat_hash_map<int, std::unique_ptr<Descriptor>> descriptors_;
  // Like the kernel: the lowest free number first, so that a closed one comes back at once.
  std::priority_queue<int, std::vector<int>, std::greater<>> free_descriptors_;
  int next_descriptor_ = kFirstDescriptor;
  size_t sockets_open_ = 0;

  absl::flat_hash_map<uint64_t, std::unique_ptr<Operation>> operations_;  // by id
  absl::flat_hash_map<uint64_t, Operation*> named_;                       // by user_data
  absl::flat_hash_map<uint64_t, Operation*> timeout_names_;  // by the timeout's user_data
  std::set<std::pair<TimePoint, uint64_t>> timeouts_;        // deadline, operation id
  std::vector<Operation*> submitted_;
  std::vector<Operation*> real_reads_;
  bool poll_due_ = false;
  uint64_t next_operation_id_ = 1;
  uint64_t publish_count_ = 0;

  std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> arrivals_;
  std::deque<Arrival> ready_;
  uint64_t arrival_sequence_ = 0;
  Figures figures_;
};

}  // namespace ringmaster::simulation
